"""What we compare, as a pure value: a backbone, a tuning, a compression and a pooling.

A system plans, counts and costs; `tempme.Retriever.build` puts weights into it.
"""

from __future__ import annotations

import copy
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from typing import Any

import torch

from tempme.backbones.clip import Clip
from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.compression import Compression
from tempme.cost import Cost, cost
from tempme.errors import BadSetting, UnknownName
from tempme.pooling import MeanPooling, Pooling, SequencePooling
from tempme.schedule import Step
from tempme.systems.assembly import assemble
from tempme.tuning import Tuning
from tempme.video.values import Fit, checked_fit

OF_THE_WEIGHTS = ("vocab", "activation", "mean", "std")  # of a ClipConfig


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
    backbone: str | ClipConfig = "ViT-B/32"
    frames: int = 12
    max_words: int = 32
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        checked_fit(self.fit)
        plan, sizes = self.plan(), self.config  # what cannot be is refused before weights are read
        self.tuning.check(frames=self.frames, words=self.max_words, config=sizes)
        if isinstance(self.pooling, SequencePooling):
            self.pooling.check(_class_tokens(plan), places=sizes.context)

    @property
    def config(self) -> ClipConfig:
        """The sizes of the backbone."""
        return sizes_of(self.backbone)

    def plan(self) -> tuple[Step, ...]:
        """What every block does to the token count."""
        config = self.config
        plan = self.tuning.plan(
            self.compression.plan(
                tokens=config.tokens,
                frames=self.frames,
                depth=config.layers,
                protected=config.class_tokens,
            )
        )
        return (*plan[:-1], replace(plan[-1], serves=self.tuning.serves(plan)))

    def cost(self) -> Cost:
        """Multiply-adds of one video."""
        plan, config = self.plan(), self.config
        extra = self.tuning.extra(plan, config)
        if isinstance(self.pooling, SequencePooling):
            more = self.pooling.products(_class_tokens(plan), config.embed)
            extra = replace(extra, products=extra.products + more, paper=extra.paper + more)
        return cost(plan, config, extra)

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


def _class_tokens(plan: tuple[Step, ...]) -> int:
    """Class tokens of a video that are pooled."""
    return plan[-1].clips_out * plan[-1].protected


@cache
def _without_numbers(config: ClipConfig) -> Clip:
    """A backbone of which nothing is allocated."""
    with torch.device("meta"):
        return Clip(config)


def sizes_of(backbone: str | ClipConfig) -> ClipConfig:
    """The sizes of a backbone that is named or given; UnknownName where no such name is."""
    if isinstance(backbone, ClipConfig):
        return backbone
    if backbone not in BACKBONES:
        raise UnknownName.among("backbone", backbone, BACKBONES)
    return BACKBONES[backbone]


def backbone_name(config: ClipConfig) -> str | None:
    """The backbone of these sizes, whatever its weights were trained with; None has no name."""
    for name, known in BACKBONES.items():
        if not other_sizes(known, config):
            return name
    return None


def other_sizes(one: ClipConfig, other: ClipConfig) -> dict[str, tuple[Any, Any]]:
    """The sizes in which two backbones differ.

    Words, activation and scale of pixels are of the weights: what a name says nothing of.
    """
    return {
        size.name: (getattr(one, size.name), getattr(other, size.name))
        for size in fields(ClipConfig)
        if size.name not in OF_THE_WEIGHTS and getattr(one, size.name) != getattr(other, size.name)
    }


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
