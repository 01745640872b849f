"""What we compare: a backbone, a tuning, a compression and a pooling; and the paper's rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.compression import STA, TESTA, Compression, DiffRate, EViT, Keep, TempMe, ToMe
from tempme.compression.diffrate import RELEASED_B16
from tempme.cost import Cost, cost
from tempme.errors import BadSetting, UnknownName
from tempme.pooling import FirstPooling, MeanPooling, Pooling
from tempme.schedule import Step
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
    Tuning,
    VoP,
)

if TYPE_CHECKING:
    from tempme.backbones.clip import Clip
    from tempme.retriever.retriever import Retriever


@dataclass(frozen=True)
class System:
    """One row of the comparison; `dataclasses.replace` makes another."""

    name: str
    tuning: Tuning
    compression: Compression
    pooling: Pooling = field(default_factory=MeanPooling)
    backbone: str | ClipConfig = "ViT-B/32"
    frames: int = 12
    max_words: int = 32

    def __post_init__(self) -> None:
        self.plan()  # what cannot be is refused before any weight is read
        self.tuning.check(frames=self.frames, words=self.max_words, config=self.config)

    @property
    def config(self) -> ClipConfig:
        """The sizes of the backbone."""
        return _sizes(self.backbone)

    def plan(self) -> tuple[Step, ...]:
        """What every block does to the token count."""
        config = self.config
        return self.tuning.plan(
            self.compression.plan(tokens=config.tokens, frames=self.frames, depth=config.layers)
        )

    def cost(self) -> Cost:
        """Multiply-adds of one video."""
        plan, config = self.plan(), self.config
        return cost(plan, config, self.tuning.extra(plan, config))

    def trainable_parameters(self) -> int:
        """Numbers that learn; counted without allocating any."""
        import torch

        from tempme.retriever.parts import assemble

        with torch.device("meta"):
            clip = assemble(self, copy.deepcopy(_without_numbers(self.config)))
        return sum(p.numel() for p in clip.parameters() if p.requires_grad)

    def build(
        self, weights: str | Path | Mapping[str, Tensor] | None = None, **options: object
    ) -> Retriever:
        """Load, tune, compress, pool: always in this order.

        `weights`: a published tag ("openai"), a file, a folder, a state dict, or None for random
        ones. Options are those of `checkpoint.build`.
        """
        from tempme.retriever.checkpoint import build

        return build(self, weights, **options)  # type: ignore[arg-type]


@cache
def _without_numbers(config: ClipConfig) -> Clip:
    """A backbone of which nothing is allocated."""
    import torch

    from tempme.backbones.clip import Clip

    with torch.device("meta"):
        return Clip(config)


def _sizes(backbone: str | ClipConfig) -> ClipConfig:
    if isinstance(backbone, ClipConfig):
        return backbone
    if backbone not in BACKBONES:
        raise UnknownName.among("backbone", backbone, BACKBONES)
    return BACKBONES[backbone]


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

# Four methods with the pooling, texts, frames and released settings of their authors, next to the
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
    "vop-original": System("vop-original", VoP(), Keep(), max_words=69),
    "dgl-transformer-original": System(
        "dgl-transformer-original", DGLTransformer(), Keep(), FirstPooling()
    ),
    "mv-adapter-original": System(
        "mv-adapter-original", MVAdapter(tie="out"), Keep(), backbone="ViT-B/16"
    ),
}
# Not of the paper: a backbone from scratch, on single frames.
OURS: dict[str, System] = {
    "scratch": System("scratch", Full(embeddings=True), Keep(), frames=1),
}
SYSTEMS = PAPER | ORIGINALS | OURS

# Settings that the paper changes where a frame has 197 tokens rather than 50.
_AT_PATCH_16: dict[type, dict[str, Any]] = {
    ToMe: {"r": 10},
    DiffRate: RELEASED_B16._asdict(),
    STA: {"r": (40, 36, 36)},
    TESTA: {"r": 10},
    TempMe: {"r": 10, "keep_cross": 0.6, "keep_intra": 0.8},
}
LONG_VIDEO_FRAMES = 64  # from here on the paper reads 64 words rather than 32


def list_systems() -> tuple[str, ...]:
    """The names of the table."""
    return tuple(SYSTEMS)


def system(name: str, *, backbone: str | ClipConfig = "ViT-B/32", frames: int = 12) -> System:
    """A row of the table, with the paper's settings for the backbone and number of frames."""
    if name not in SYSTEMS:
        raise UnknownName.among("system", name, SYSTEMS)
    row = SYSTEMS[name]
    compression = row.compression
    if backbone == "ViT-B/16" and name != "temporal-modelling":
        compression = replace(compression, **_AT_PATCH_16.get(type(compression), {}))
    words = 64 if frames >= LONG_VIDEO_FRAMES else row.max_words
    tuning = row.tuning.fitted(_sizes(backbone))
    return replace(
        row,
        backbone=backbone,
        tuning=tuning,
        compression=compression,
        frames=frames,
        max_words=min(words, _sizes(backbone).context - tuning.text_rows),
    )


def settings_of(method: Any) -> list[Field[Any]]:
    """The settings of a tuning, compression or pooling; those it shares with others come last."""
    return sorted(fields(method), key=lambda setting: setting.kw_only is True)


def check_frames(system: System, frames: int) -> None:
    """Raise BadSetting where a video brings another number of frames than the system sees."""
    if frames != system.frames:
        raise BadSetting(
            f"videos of {frames} frames, but {system.name} sees {system.frames}: sample "
            f"{system.frames} frames, or make the system with frames={frames}"
        )
