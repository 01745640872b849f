"""Settings and plan of compressions that join clips: TempMe's, and those that join otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import nn

from tempme.backbones.layers import Layer
from tempme.compression.layers import ClipMe, ImgMe
from tempme.compression.method import Compression, scaled_count, share_kept
from tempme.errors import BadSetting
from tempme.schedule import Step, default_joins, schedule


@dataclass(frozen=True)
class Joining(Compression):
    """Merging inside frames, then joining clips and merging inside these.

    r: tokens that ImgMe merges in every block before the first join.
    joins: block -> neighbouring clips joined there; None takes `schedule.default_joins`, 2, 2 and 3
        in blocks 8, 9 and 10 for 12 frames.
    keep_cross: share of tokens kept across clips (R_c).
    keep_intra: share of tokens kept inside a clip (R_I).
    proportional: attention counts a token as often as its patches.
    positions: clips that are joined learn where they stand.
    apart: clips stay apart in the blocks of the joins, and what would merge across them merges
        inside each: reduction alone.
    always_place: add positions even in a block where nothing merges. The official code skips
        them there, so that temporal modelling alone never sees an order; off for parity.
    halves: clips stand where they do in the clip that they join, not in the video, and the last
        join is of two where it can be (2, 3 and 2 for 12 frames). Then two windows of a film that
        overlap by half share whole clips, which `Retriever.encode_windows` computes once.
    """

    of_frames: ClassVar[str] = "joins neighbouring frames"
    called: ClassVar[str] = "tempme"  # in messages

    r: int = 2
    joins: Mapping[int, int] | None = None
    keep_cross: float = 0.7
    keep_intra: float = 0.9
    proportional: bool = True
    positions: bool = True
    always_place: bool = False
    apart: bool = False
    halves: bool = False

    def __post_init__(self) -> None:
        if self.r < 0:
            raise BadSetting(f"{self.called}.r is {self.r}; tokens merged per block, so 0 or more")
        for name in ("keep_cross", "keep_intra"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise BadSetting(
                    f"{self.called}.{name} is {value}; it is the share kept: above 0, up to 1"
                )

    def joins_of(self, frames: int, *, depth: int) -> dict[int, int]:
        """Block -> clips joined there, for so many frames."""
        if self.joins is not None:
            joins = dict(self.joins)
        else:
            joins = default_joins(frames, depth=depth, halves=self.halves)
        return dict.fromkeys(joins, 1) if self.apart else joins

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        return schedule(
            tokens=tokens,
            frames=frames,
            depth=depth,
            protected=protected,
            r=self.r,
            joins=self.joins_of(frames, depth=depth),
            keep_cross=self.keep_cross,
            keep_intra=self.keep_intra,
        )

    def scaled(self, strength: float, *, counts: float | None = None) -> Self:
        """More tokens of every frame, smaller shares where clips join."""
        return replace(
            self,
            r=scaled_count(self.r, strength if counts is None else counts),
            keep_cross=share_kept(self.keep_cross, strength),
            keep_intra=share_kept(self.keep_intra, strength),
        )

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """ClipMe where clips join or tokens merge before attention, ImgMe elsewhere."""
        if step.joined_inside or (step.join == 1 and step.cross == 0):
            return self.inside(layer, step)
        learns = self.positions and step.join > 1 and (step.cross > 0 or self.always_place)
        places = step.join if self.halves else step.clips * step.join
        place = nn.Parameter(torch.zeros(places, 1, width)) if learns else None
        return self.joined(layer, step, place)

    def inside(self, layer: Layer, step: Step) -> ImgMe:
        """The layer in which tokens of a clip merge."""
        return ImgMe(layer, step, proportional=self.proportional)

    def joined(self, layer: Layer, step: Step, place: nn.Parameter | None) -> ClipMe:
        """The layer in which clips join, with the positions that they learn."""
        return ClipMe(layer, step, proportional=self.proportional, place=place)
