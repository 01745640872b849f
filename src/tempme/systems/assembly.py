"""The law of the order: load, tune, compress. (Pooling comes last, in `encode_videos`.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from torch import nn

from tempme.backbones.clip import Clip
from tempme.compression import Compression
from tempme.schedule import Step
from tempme.tuning import Tuning

if TYPE_CHECKING:
    from tempme.backbones.layers import Layer


def assemble(
    backbone: Clip,
    tuning: Tuning,
    compression: Compression,
    plan: Sequence[Step],
    *,
    frames: int,
    words: int,
) -> Clip:
    """Tune the backbone, then compress it, in place: compressed layers are around tuned ones."""
    tuning.tune(backbone, frames=frames, words=words)
    layers = cast("Iterable[Layer]", backbone.vision.layers)
    backbone.vision.layers = nn.ModuleList(
        compression.wrap(layer, step, backbone.config.width)
        for layer, step in zip(layers, plan, strict=True)
    )
    return backbone
