"""The law of the order: load, tune, compress. (Pooling comes last, in `encode_videos`.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from torch import nn

from tempme.backbones.backbone import Backbone
from tempme.backbones.clip import Clip
from tempme.backbones.frame_transformer import FrameTransformer
from tempme.backbones.umt.model import Umt
from tempme.backbones.vision import Unrelated
from tempme.compression import Compression
from tempme.errors import BadSetting
from tempme.pooling import Pooling, SequencePooling, TokenPooling
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

    A pooling of tokens comes before the last norm, so it is of the backbone, too; one that learns
    has its part behind the layers.
    """
    tuning.tune(backbone, frames=frames, words=words)
    layers = cast("Iterable[Layer]", backbone.vision.layers)
    backbone.vision.layers = nn.ModuleList(
        compression.wrap(layer, step, backbone.config.width)
        for layer, step in zip(layers, plan, strict=True)
    )
    backbone.vision.witness = compression.witness() or backbone.vision.witness
    if isinstance(backbone, Umt) and isinstance(pooling, TokenPooling):
        backbone.vision.mean = pooling.tokens
    if isinstance(backbone, Clip) and isinstance(pooling, SequencePooling):
        _refuse_second(backbone, tuning)
        made = FrameTransformer(backbone.config, pooling.layers)
        backbone.vision.temporal = made.start_as(backbone.text)
    return backbone


def _refuse_second(backbone: Clip, tuning: Tuning) -> None:
    if not isinstance(backbone.vision.temporal, Unrelated):
        raise BadSetting(
            f"{type(tuning).__name__} has blocks over frames of its own, and cannot be pooled by "
            f"seqTransf: take another tuning (lora, full), or pooling 'mean'"
        )
