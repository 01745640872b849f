"""Averaging where clips join: the plainest rule, to hold the others against.

Nothing merges before. Where k clips join, the k tokens at each place of their frames become one,
their mean weighted by size; class tokens stay. No likeness is looked at, so nothing is spent on
deciding. LiteFrame (arXiv 2605.17260) finds weighted averages of frames better than ToMe and FastV
at 16 times fewer tokens; the rule as it is here, and its place, are ours. 12 frames, joined by 2, 2
and 3 in blocks 8, 9 and 10, end in 61 tokens of ViT-B/32. Joins that come earlier cost less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Layer
from tempme.compression.layers import ClipMe, ImgMe
from tempme.compression.method import Compression
from tempme.errors import BadSetting
from tempme.merging import Selection, fuse
from tempme.schedule import Dots, Step, check_joins, default_joins
from tempme.tokens import Tokens

EARLIER = 4  # blocks, where twice as much is to leave


class AveragedClipMe(ClipMe):
    """Join clips and average what stands at the same place."""

    def across(self, tokens: Tokens, place: Tensor | None) -> Tokens:
        """All clips into the first."""
        tokens = tokens if place is None else tokens.plus(place)
        p, k = tokens.num_protected, self.step.join
        n, clips, device = tokens.num_free // k, len(tokens.x_CND), tokens.x_CND.device
        stay, go = torch.arange(p + n, device=device), torch.arange((k - 1) * n, device=device)
        pairs = Selection(
            sources=stay.expand(clips, -1),
            moving=(p + n + go).expand(clips, -1),
            slots=(p + go % n).expand(clips, -1),
            num_tokens=len(tokens),
            num_out=p + n,
        )
        return fuse(tokens, pairs)


@dataclass(frozen=True)
class Average(Compression):
    """Means of equal places where clips join, and nothing else.

    joins: block -> neighbouring clips joined there; None takes `schedule.default_joins`.
    earlier: as many blocks before their own place, or as many as there are, do these join.
    proportional: attention counts a token as often as its patches.
    positions: clips that are joined learn where they stand.
    """

    of_frames: ClassVar[str] = "joins neighbouring frames"

    joins: Mapping[int, int] | None = None
    earlier: int = 0
    proportional: bool = True
    positions: bool = True

    def __post_init__(self) -> None:
        if self.earlier < 0:
            raise BadSetting(f"average.earlier is {self.earlier}; a number of blocks, 0 or more")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        joins = default_joins(frames, depth=depth) if self.joins is None else dict(self.joins)
        before = min(self.earlier, min(joins, default=0))
        joins = {block - before: k for block, k in joins.items()}
        check_joins(joins, frames=frames, depth=depth)
        places, clips, steps = tokens - protected, frames, []
        for block in range(depth):
            k = joins.get(block, 1)
            clips, protected = clips // k, protected * k
            steps.append(
                Step(
                    clips=clips,
                    join=k,
                    cross=(k - 1) * places,
                    attended=protected + places,
                    protected=protected,
                    dots=Dots(),
                )
            )
        return tuple(steps)

    def scaled(self, strength: float, *, counts: float | None = None) -> Average:
        """Joins that come earlier; below 1 as they are, for there is nothing gentler."""
        return replace(
            self,
            earlier=max(
                self.earlier, round(EARLIER * ((strength if counts is None else counts) - 1))
            ),
        )

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """Average before the attention of `layer` where clips join."""
        if step.join == 1 or step.joined_inside:
            return ImgMe(layer, step, proportional=self.proportional)
        learnt = torch.zeros(step.clips * step.join, 1, width)
        place = nn.Parameter(learnt) if self.positions else None
        return AveragedClipMe(layer, step, proportional=self.proportional, place=place)
