"""What we compare, as a pure value: a backbone, a tuning, a compression and a pooling.

A system plans, counts and costs; `tempme.Retriever.build` puts weights into it.
"""

from __future__ import annotations

import copy
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from typing import Any

import torch

from tempme.backbones.backbone import Backbone, made_of
from tempme.backbones.sizes import Sizes, sizes_of
from tempme.backbones.umt.config import UmtConfig
from tempme.compression import Compression
from tempme.cost import Cost, cost
from tempme.errors import BadSetting
from tempme.pooling import FirstPooling, MeanPooling, Pooling, SequencePooling, TokenPooling
from tempme.schedule import Step
from tempme.systems.assembly import assemble
from tempme.tuning import Tuning
from tempme.video.values import Fit, checked_fit


@dataclass(frozen=True)
class System:
    """One row of the comparison; `dataclasses.replace` makes another.

    frames, max_words: what it sees of a video and reads of a text. fit: what becomes of frames that
    are not square, where it learns and is tested.
    """

    name: str
    tuning: Tuning
    compression: Compression
    pooling: Pooling = field(default_factory=MeanPooling)
    backbone: str | Sizes = "ViT-B/32"
    frames: int = 12
    max_words: int = 32
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        # What cannot be is refused before any weight is read.
        checked_fit(self.fit)
        _check_pooling(self.pooling, self.config)
        self.tuning.check_family(self.config)
        plan, sizes = self.plan(), self.config
        self.tuning.check(frames=self.frames, words=self.max_words, config=sizes)
        if isinstance(self.pooling, SequencePooling):
            self.pooling.check(_class_tokens(plan), places=sizes.context)

    @property
    def config(self) -> Sizes:
        """The sizes of the backbone."""
        return sizes_of(self.backbone)

    def plan(self) -> tuple[Step, ...]:
        """What every block does to the token count."""
        config, clips = self.config, self.frames
        if _is_one_clip(config):
            if self.compression.of_frames:
                raise BadSetting(
                    f"{type(self.compression).__name__} {self.compression.of_frames}, but in this "
                    f"backbone all frames are one clip from the start: choose a backbone that "
                    f"keeps them apart (UMT4Clip-B/16; joint = false), or tome or keep"
                )
            clips = min(self.frames, 1)
        plan = self.tuning.plan(
            self.compression.plan(
                tokens=config.tokens * self.frames // max(clips, 1),
                frames=clips,
                depth=config.layers,
                protected=config.class_tokens,
            )
        )
        return (*plan[:-1], replace(plan[-1], serves=self.tuning.serves(plan)))

    def cost(self) -> Cost:
        """Multiply-adds of one video."""
        plan, config = self.plan(), self.config
        whole = isinstance(self.pooling, TokenPooling) and self.pooling.whole_video
        extra = self.tuning.extra(plan, config)
        if isinstance(self.pooling, SequencePooling):
            more = self.pooling.products(_class_tokens(plan), config.embed)
            extra = replace(extra, products=extra.products + more, paper=extra.paper + more)
        return cost(plan, config, extra, frames=self.frames, whole=whole)

    def trainable_parameters(self) -> int:
        """Numbers that learn; counted without allocating any."""
        with torch.device("meta"):
            backbone = copy.deepcopy(_without_numbers(self.config))
            assemble(
                backbone,
                self.tuning,
                self.compression,
                self.plan(),
                frames=self.frames,
                words=self.max_words,
                pooling=self.pooling,
            )
        return sum(p.numel() for p in backbone.parameters() if p.requires_grad)


@cache
def _without_numbers(config: Sizes) -> Backbone:
    """A backbone of which nothing is allocated."""
    with torch.device("meta"):
        return made_of(config)


def _class_tokens(plan: tuple[Step, ...]) -> int:
    """Class tokens of a video that are pooled."""
    return plan[-1].clips_out * plan[-1].protected


def _is_one_clip(config: Sizes) -> bool:
    """Whether all frames of a video are one sequence from the first block on."""
    return isinstance(config, UmtConfig) and config.joint


def _check_pooling(pooling: Pooling, config: Sizes) -> None:
    """BadSetting where a pooling reads tokens that the backbone has not."""
    if isinstance(config, UmtConfig) and isinstance(pooling, FirstPooling):
        raise BadSetting(
            "pooling is first, which reads a token that has seen all frames, but this backbone has "
            "none: choose tokens or mean"
        )
    if isinstance(config, UmtConfig) and isinstance(pooling, SequencePooling):
        raise BadSetting(
            "pooling is sequence, a transformer over class tokens, but this backbone has none: "
            "choose tokens or mean"
        )
    if not isinstance(config, UmtConfig) and isinstance(pooling, TokenPooling):
        raise BadSetting(
            "pooling is tokens, which is for backbones without class tokens (UMT): choose mean"
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
