"""The law of the order: load, tune, compress. (Pooling comes last, in `encode_videos`.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from torch import nn

from tempme.backbones.backbone import Backbone
from tempme.backbones.umt.model import Umt
from tempme.compression import Compression
from tempme.pooling import Pooling, TokenPooling
from tempme.schedule import Step
from tempme.tuning import Tuning

if TYPE_CHECKING:
    from tempme.backbones.layers import Layer


def assemble(
    backbone: Backbone,
    tuning: Tuning,
    compression: Compression,
    plan: Sequence[Step],
    *,
    frames: int,
    words: int,
    pooling: Pooling | None = None,
) -> Backbone:
    """Tune the backbone, then compress it, in place: compressed layers are around tuned ones.

    A pooling of tokens comes before the last norm, so it is of the backbone, too.
    """
    tuning.tune(backbone, frames=frames, words=words)
    layers = cast("Iterable[Layer]", backbone.vision.layers)
    backbone.vision.layers = nn.ModuleList(
        compression.wrap(layer, step, backbone.config.width)
        for layer, step in zip(layers, plan, strict=True)
    )
    if isinstance(backbone, Umt) and isinstance(pooling, TokenPooling):
        backbone.vision.mean = pooling.tokens
    return backbone
