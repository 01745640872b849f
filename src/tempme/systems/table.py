"""The rows we compare: the paper's table, its ablations, the authors' own settings, and ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tempme.backbones.sizes import Sizes, backbone_name, family_of, sizes_of
from tempme.backbones.umt.config import UmtConfig
from tempme.compression import (
    DTEM,
    EVS,
    RLT,
    STA,
    TESTA,
    Aligned,
    Average,
    Compression,
    DiffRate,
    EarlyTom,
    EViT,
    Keep,
    PiToMe,
    TempMe,
    ToMe,
)
from tempme.compression.diffrate import RELEASED_B16
from tempme.errors import BadSetting, UnknownName
from tempme.pooling import FirstPooling, MeanPooling, Pooling, SequencePooling, TokenPooling
from tempme.systems.budget import within
from tempme.systems.system import System
from tempme.tuning import (
    DGL,
    PLEVU,
    RAP,
    Adapter,
    DGLTransformer,
    Full,
    LoRA,
    MVAdapter,
    Prompt,
    VoP,
)

PAPER: dict[str, System] = {
    "clip4clip": System("clip4clip", Full(), Keep()),
    "prompt": System("prompt", Prompt(), Keep()),
    "adapter": System("adapter", Adapter(), Keep()),
    "lora": System("lora", LoRA(), Keep()),
    "plevu": System("plevu", PLEVU(), Keep()),
    "vop": System("vop", VoP(), Keep()),
    "vop-p": System("vop-p", VoP(positional=4), Keep()),
    "vop-c": System("vop-c", VoP(contextual=4), Keep()),
    "vop-f": System("vop-f", VoP(joint=4), Keep()),
    "vop-fp": System("vop-fp", VoP(positional=4, joint=4), Keep()),
    "vop-fc": System("vop-fc", VoP(contextual=4, joint=4), Keep()),
    "dgl": System("dgl", DGL(), Keep(), FirstPooling()),
    "dgl-transformer": System("dgl-transformer", DGLTransformer(), Keep(), FirstPooling()),
    "mv-adapter": System("mv-adapter", MVAdapter(), Keep()),
    "rap": System("rap", RAP(), Keep()),
    "tome": System("tome", LoRA(), ToMe()),
    "evit": System("evit", LoRA(), EViT()),
    "diffrate": System("diffrate", LoRA(), DiffRate()),
    "sta": System("sta", LoRA(), STA()),
    "testa": System("testa", LoRA(), TESTA()),
    "tempme": System("tempme", LoRA(), TempMe()),
    "prompt-tempme": System("prompt-tempme", Prompt(), TempMe()),
    "adapter-tempme": System("adapter-tempme", Adapter(), TempMe()),
    "tempme-full": System("tempme-full", Full(), TempMe()),
    "tome-full": System("tome-full", Full(), ToMe()),
    # The paper's ablations (Tables 8 and 9).
    "imgme-only": System("imgme-only", LoRA(), ToMe()),
    # The paper does not say how it reduces frames that stay apart: the same shares, no joins.
    "token-reduction": System("token-reduction", LoRA(), TempMe(apart=True)),
    "temporal-modelling": System(
        "temporal-modelling", LoRA(), TempMe(r=0, keep_cross=1, keep_intra=1)
    ),
}

# Five methods with the pooling, texts, frames and released settings of their authors, next to the
# protocol that all rows above share; `sources` has their recipes.
ORIGINALS: dict[str, System] = {
    "plevu-original": System(
        "plevu-original",
        PLEVU(temperature=0.07),
        Keep(),
        MeanPooling(unit=False),
        backbone="ViT-B/16",
        frames=16,
        max_words=45,
    ),
    "clip4clip-seqtransf": System("clip4clip-seqtransf", Full(), Keep(), SequencePooling()),
    "vop-original": System("vop-original", VoP(), Keep(), max_words=69),
    "dgl-transformer-original": System(
        "dgl-transformer-original", DGLTransformer(), Keep(), FirstPooling()
    ),
    "mv-adapter-original": System(
        "mv-adapter-original", MVAdapter(tie="out"), Keep(), backbone="ViT-B/16"
    ),
}
# The paper's Tables 6 and 7: a video foundation model, whole; by single frames; with frames merged.
# The setting that prints 111.5 G is not published; of those that do, this one (docs/methods.md).
_TABLE_6 = TempMe(r=12, keep_cross=0.5, keep_intra=0.85)


def _of_umt(name: str, compression: Compression, backbone: str = "UMT4Clip-B/16") -> System:
    return System(name, Full(embeddings=True), compression, TokenPooling(), backbone)


UMT: dict[str, System] = {
    "umt": _of_umt("umt", Keep(), "UMT-B/16"),
    "umt4clip": _of_umt("umt4clip", Keep()),
    "umt4clip-tempme": _of_umt("umt4clip-tempme", _TABLE_6),
    "umt4clip-tome": _of_umt("umt4clip-tome", ToMe(r=10)),
}
# Not of the paper: a backbone from scratch, on single frames.
OURS: dict[str, System] = {
    "scratch": System("scratch", Full(embeddings=True), Keep(), frames=1),
}
# Rules that follow the content, alone and where TempMe joins; none of them is in the paper.
RULES: dict[str, System] = {
    "evs": System("evs", LoRA(), EVS(r=0, joins={})),
    "rlt-share": System("rlt-share", LoRA(), RLT(r=0, joins={})),
    "rlt-size": System("rlt-size", LoRA(), RLT(r=0, at_once=True, keep_cross=1, keep_intra=1)),
    "tempme-evs": System("tempme-evs", LoRA(), EVS()),
    "tempme-rlt": System("tempme-rlt", LoRA(), RLT()),
    "tempme-aligned": System("tempme-aligned", LoRA(), Aligned()),
    "tempme-average": System("tempme-average", LoRA(), Average()),
    "earlytom": System("earlytom", LoRA(), EarlyTom()),
    "dtem": System("dtem", LoRA(), DTEM()),
    "pitome": System("pitome", LoRA(), PiToMe()),
    "tempme-halves": System("tempme-halves", LoRA(), TempMe(halves=True)),
    "tempme-rlt-halves": System("tempme-rlt-halves", LoRA(), RLT(halves=True)),
}
SYSTEMS = PAPER | ORIGINALS | UMT | RULES | OURS

# Settings that the paper changes where a frame has 197 tokens, as in ViT-B/16, rather than 50.
MERGING_NOTHING = ("temporal-modelling", "evs", "rlt-share", "rlt-size")
_TEMPME_B16 = {"r": 10, "keep_cross": 0.6, "keep_intra": 0.8}
_AT_PATCH_16: dict[type, dict[str, Any]] = {
    ToMe: {"r": 10},
    DTEM: {"r": 10},
    PiToMe: {"r": 10},
    DiffRate: RELEASED_B16._asdict(),
    STA: {"r": (40, 36, 36)},
    TESTA: {"r": 10},
    **dict.fromkeys((TempMe, Aligned, EVS, RLT), _TEMPME_B16),
}
LONG_VIDEO_FRAMES = 64  # from here on the paper reads 64 words rather than 32


def list_systems() -> tuple[str, ...]:
    """The names of the table."""
    return tuple(SYSTEMS)


def system(
    name: str,
    *,
    backbone: str | Sizes | None = None,
    frames: int = 12,
    max_words: int | None = None,
    budget: float | None = None,
) -> System:
    """A row of the table, with the paper's settings for the backbone's sizes and number of frames.

    backbone: None is ViT-B/32, or UMT-B/16 for rows of UMT, which take no other kind, and see all
    frames at once or one by one as the row does. max_words: at most so many words of a text are
    read; None is what the paper reads. Never more than the backbone has places for. budget: its
    compression at most at this share of the multiply-adds without any; None is its own settings.
    """
    if name not in SYSTEMS:
        raise UnknownName.among("system", name, SYSTEMS)
    row = SYSTEMS[name]
    sizes = _fitting(row, backbone)
    words = max_words or (64 if frames >= LONG_VIDEO_FRAMES else row.max_words)
    tuning = row.tuning.fitted(sizes)
    named = isinstance(backbone, str) or backbone is None
    made = replace(
        row,
        backbone=(backbone_name(sizes) or sizes) if named else sizes,
        tuning=tuning,
        compression=_compression(row, sizes),
        pooling=_pooling(row, sizes),
        frames=frames,
        max_words=min(words, sizes.context - tuning.text_rows),
    )
    return made if budget is None else within(made, budget)


def _fitting(row: System, backbone: str | Sizes | None) -> Sizes:
    """The sizes asked for, as the row sees frames; BadSetting where it is of another kind."""
    own = row.config
    default = "UMT-B/16" if isinstance(own, UmtConfig) else "ViT-B/32"
    sizes = sizes_of(default if backbone is None else backbone)
    if not isinstance(own, UmtConfig):
        return sizes
    if not isinstance(sizes, UmtConfig):
        raise BadSetting(
            f"{row.name} is a UMT, but {backbone if isinstance(backbone, str) else 'the backbone'} "
            f"is a {family_of(sizes)}: take UMT-B/16, or another system (tempme, lora)"
        )
    return replace(sizes, joint=own.joint)


def _compression(row: System, sizes: Sizes) -> Compression:
    """The settings for as many patches as the frames of these sizes have."""
    if row.name in UMT:  # made for patches of 16; of fewer patches fewer merge
        return row.compression if _is_as_b16(sizes) else type(row.compression)()
    if not _is_as_b16(sizes) or row.name in MERGING_NOTHING:
        return row.compression
    return replace(row.compression, **_AT_PATCH_16.get(type(row.compression), {}))


def _pooling(row: System, sizes: Sizes) -> Pooling:
    """That of the row; tokens in the place of class tokens, where the backbone has none."""
    if isinstance(sizes, UmtConfig) and row.pooling == MeanPooling():
        return TokenPooling()
    return row.pooling


def _is_as_b16(sizes: Sizes) -> bool:
    """Whether frames have the patches, and images the blocks, that the paper's settings are for."""
    paper = sizes_of("ViT-B/16")
    return (sizes.grid, sizes.layers) == (paper.grid, paper.layers)
