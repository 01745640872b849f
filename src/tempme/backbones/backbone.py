"""A backbone of whatever family: frames and texts -> features in one space."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from tempme.backbones.clip import Clip
from tempme.backbones.sizes import Sizes
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt

Backbone: TypeAlias = Clip | Umt


def made_of(config: Sizes) -> Backbone:
    """A backbone of these sizes that has learnt nothing."""
    return Umt(config) if isinstance(config, UmtConfig) else Clip(config)


def seeing_as(backbone: Backbone, config: Sizes) -> Backbone:
    """The same weights with the frames of a video seen as `config` says; a CLIP as it is.

    Of a UMT that all frames are one clip, or where patches are placed, is in no weight.
    """
    own = backbone.config
    if not isinstance(backbone, Umt) or not isinstance(config, UmtConfig):
        return backbone
    if not isinstance(own, UmtConfig) or own == (wanted := seen_by(own, config)):
        return backbone
    made = Umt(wanted)
    made.load_state_dict(backbone.state_dict())
    return made


def seen_by(own: UmtConfig, config: UmtConfig) -> UmtConfig:
    """The sizes `own`, with the frames of a video seen as `config` says."""
    return replace(
        own,
        joint=config.joint,
        frame_positions=config.frame_positions,
        trained_frames=config.trained_frames,
        decoder_layers=config.decoder_layers,
    )
