"""UMT's published weights: of pre-training, of retrieval, of questions -> the names of `Umt`.

OpenGVLab/unmasked_teacher 4fb4049, multi_modality. A file is a state dict, bare or under "model".
Pre-training keeps BERT under `text_encoder.bert.` with its head of words beside it, and its
teacher; retrieval drops both; questions have a decoder of answers, which starts as the last text
layers and the head of words of pre-training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.names import to_official, to_ours
from tempme.errors import BadWeights
from tempme.weights.files import read_contents, tensors_of
from tempme.weights.layouts import without_prefix

UmtLayout = Literal["pre-training", "retrieval", "questions"]

_TEXT, _DECODER = "text_encoder.", "text_decoder."
_TIED = re.compile(r"^text_decoder\.cls\.predictions\.decoder\.(weight|bias)$")
_BUFFER = re.compile(r"\.position_ids$")
_FUSION = re.compile(r"^text_encoder\.encoder\.layer\.(\d+)\.crossattention\.")
_HEAD_WIDTH = 64  # of every published UMT; the weights do not tell it
# A name that tells what a file is instead.
_FOREIGN = (
    (r"^(encoder\.)?(patch_embed|blocks)\.", "the first stage of UMT, its video encoder alone"),
    (r"^visual\.|^vision_model\.", "a CLIP, which `read_weights` takes"),
)


@dataclass(frozen=True)
class UmtWeights:
    """Tensors under our names in fp32, the sizes, and what of the file was of no use."""

    state: dict[str, Tensor]
    config: UmtConfig
    origin: str
    layout: UmtLayout
    left_out: tuple[str, ...]  # as the file's model would name them

    @property
    def summary(self) -> str:
        """One line to print before use."""
        line = f"weights: {self.origin} (UMT, {self.layout} layout, {self.config.image_size} px)"
        if not self.left_out:
            return line
        return f"{line}; {len(self.left_out)} tensors of no use here, such as {self.left_out[0]}"


def read_umt(
    source: str | Path | Mapping[str, object],
    *,
    image_size: int = 224,
    heads: int | None = None,
    text_heads: int | None = None,
) -> UmtWeights:
    """The weights of `Umt` from a file or state dict of pre-training or retrieval.

    image_size, and the heads of both towers, are in no file: by default 224, and a 64th of the
    width. BadWeights names what a file lacks, or what it is instead.
    """
    tensors, layout, origin = _read(source)
    config = _config(tensors, origin, image_size=image_size, heads=heads, text_heads=text_heads)
    with torch.device("meta"):
        wanted = to_official(Umt(config).state_dict())
    return _checked(tensors, wanted, config, origin, layout)


def read_umt_answerer(
    source: str | Path | Mapping[str, object],
    *,
    image_size: int = 224,
    heads: int | None = None,
    text_heads: int | None = None,
) -> UmtWeights:
    """The weights of `UmtAnswerer` from a file or state dict of pre-training or questions."""
    tensors, layout, origin = _read(source)
    if layout == "pre-training":
        tensors = _with_decoder(tensors)
    config = _config(tensors, origin, image_size=image_size, heads=heads, text_heads=text_heads)
    with torch.device("meta"):
        wanted = to_official(UmtAnswerer(config).state_dict())
    tensors = {name: value for name, value in tensors.items() if not _TIED.match(name)}
    return _checked(tensors, wanted, config, origin, layout)


def is_of_umt(source: Path | Mapping[str, object]) -> bool:
    """Whether the tensors of a file or state dict are named as those of a UMT."""
    try:
        names = source if isinstance(source, Mapping) else read_contents(source).tensors
    except BadWeights:
        return False
    return any(re.match(r"(module\.)?vision_encoder\.encoder\.", str(name)) for name in names)


def _read(source: str | Path | Mapping[str, object]) -> tuple[dict[str, Tensor], UmtLayout, str]:
    if isinstance(source, Mapping):
        origin = "the given state dict"
        tensors = tensors_of(source, origin)
    else:
        origin = str(source)
        tensors = read_contents(Path(source)).tensors
    tensors = without_prefix(tensors, "module.")
    layout = _layout(tensors, origin)
    plain = {
        name.replace("text_encoder.bert.", _TEXT): value
        for name, value in tensors.items()
        if not _BUFFER.search(name)
    }
    return plain, layout, origin


def _layout(names: Mapping[str, Tensor], origin: str) -> UmtLayout:
    if not any(name.startswith("vision_encoder.encoder.") for name in names):
        for pattern, what in _FOREIGN:
            if any(re.search(pattern, name) for name in names):
                raise BadWeights(f"{origin} is {what}; a UMT with text is needed")
        raise BadWeights(
            f"{origin} is not a UMT: none of its {len(names)} tensors is called "
            f"vision_encoder.encoder...; the first is {min(names)}"
        )
    if any(name.startswith(_DECODER) for name in names):
        return "questions"
    return (
        "pre-training"
        if any(name.startswith("text_encoder.bert.") for name in names)
        else "retrieval"
    )


def _with_decoder(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder as training starts it: the fusion layers, the words, the head of words."""
    first = _fusion_from(tensors)
    made: dict[str, Tensor] = {}
    for name, value in tensors.items():
        inner = name.removeprefix(_TEXT)
        layer = re.match(r"encoder\.layer\.(\d+)\.(.*)", inner)
        if name == inner:
            made[name] = value
        elif inner.startswith("cls."):
            made[f"{_DECODER}{inner}"] = value  # questions have no use for it in the encoder
        else:
            made[name] = value
            if inner.startswith("embeddings."):
                made[f"{_DECODER}bert.{inner}"] = value
            elif layer and first is not None and int(layer[1]) >= first:
                made[f"{_DECODER}bert.encoder.layer.{int(layer[1]) - first}.{layer[2]}"] = value
    return made


def _fusion_from(tensors: Mapping[str, Tensor]) -> int | None:
    found = [int(layer[1]) for name in tensors if (layer := _FUSION.match(name))]
    return min(found, default=None)


def _config(
    tensors: Mapping[str, Tensor],
    origin: str,
    *,
    image_size: int,
    heads: int | None,
    text_heads: int | None,
) -> UmtConfig:
    """The sizes that the shapes tell, and those that they do not."""
    patches = _shape(tensors, "vision_encoder.encoder.patch_embed.proj.weight", 5, origin)
    words = _shape(tensors, "text_encoder.embeddings.word_embeddings.weight", 2, origin)
    places = _shape(tensors, "text_encoder.embeddings.position_embeddings.weight", 2, origin)
    fusion_from = _fusion_from(tensors)
    if fusion_from is None:
        raise BadWeights(f"{origin} has no text layer that looks at the video (crossattention)")
    width, text_width = patches[0], words[1]
    projection = tensors.get("text_proj.weight")
    text_layers = _count(tensors, r"text_encoder\.encoder\.layer")
    return UmtConfig(
        image_size=image_size,
        patch=patches[-1],
        width=width,
        layers=_count(tensors, r"vision_encoder\.encoder\.blocks"),
        heads=heads or max(1, width // _HEAD_WIDTH),
        text_width=text_width,
        text_layers=text_layers,
        text_heads=text_heads or max(1, text_width // _HEAD_WIDTH),
        fusion_from=fusion_from,
        decoder_layers=_count(tensors, r"text_decoder\.bert\.encoder\.layer")
        or text_layers - fusion_from,
        embed=UmtConfig().embed if projection is None else len(projection),
        context=places[0],
        vocab=words[0],
    )


def _shape(tensors: Mapping[str, Tensor], name: str, dims: int, origin: str) -> tuple[int, ...]:
    value = tensors.get(name)
    if value is None or value.ndim != dims:
        what = "lacks" if value is None else f"has the shape {tuple(value.shape)} for"
        raise BadWeights(f"{origin} {what} {name}, which tells the sizes of a UMT")
    return tuple(value.shape)


def _count(tensors: Mapping[str, Tensor], stack: str) -> int:
    numbers = [int(n[1]) for name in tensors if (n := re.match(rf"{stack}\.(\d+)\.", name))]
    return 1 + max(numbers, default=-1)


def _checked(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    config: UmtConfig,
    origin: str,
    layout: UmtLayout,
) -> UmtWeights:
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise BadWeights(
            f"{origin} ({layout} layout) lacks {len(missing)} tensors: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}; another of UMT's files may have them "
            f"(pre-training has all)"
        )
    for name, like in wanted.items():
        if tensors[name].shape != like.shape:
            raise BadWeights(
                f"{origin}: {name} is {tuple(tensors[name].shape)}, but the other tensors want "
                f"{tuple(like.shape)}"
            )
    kept = {name: tensors[name].detach().to("cpu", torch.float32).contiguous() for name in wanted}
    broken = [name for name, value in kept.items() if not torch.isfinite(value).all()]
    if broken:
        raise BadWeights(f"{origin}: {broken[0]} holds NaN or infinity; download the file again")
    left_out = tuple(sorted(set(tensors) - set(wanted)))
    return UmtWeights(to_ours(kept), config, origin, layout, left_out)
