"""TempMe: merge inside frames, then across neighbouring clips.

Shen et al., ICLR 2025, arXiv 2409.01156 (section 3.2; code: LunarShen/TempMe e624930). Before the
first join every block merges `r` tokens of a frame, as ToMe does (ImgMe). A block of `joins` makes
one clip of several neighbouring ones, merges across them by whole tokens until `keep_cross` of them
are left, attends over the joined clip, and merges inside it by keys until `keep_intra` are left
(ClipMe); later blocks go on inside. Clips that join learn where they stand: a position is added
after matching and before averaging. Class tokens never merge; the video is their mean. ViT-B/16
takes `r` 10, `keep_cross` 0.6 and `keep_intra` 0.8. 12 frames end in 97 tokens of ViT-B/32 (34.8
GFLOPs) and 127 of ViT-B/16 (121.4). Other numbers of frames have a plan, too, where the official
code has three; matching is in fp32, and among equals the first token wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import ImgMe
from tempme.compression.method import Compression
from tempme.errors import BadSetting
from tempme.merging import concatenate, join_clips, merge
from tempme.schedule import Step, default_joins, schedule
from tempme.tokens import Tokens


class ClipMe(ImgMe):
    """Join neighbouring clips and merge across them, then attend and merge as ImgMe does."""

    def __init__(
        self, layer: Layer, step: Step, *, proportional: bool, place: nn.Parameter | None
    ) -> None:
        super().__init__(layer, step, proportional=proportional)
        self.clip_position = place  # (clips before the join, 1, D)

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention over the joined clips."""
        return super().attend(self.cross(tokens))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """The protected tokens after the join."""
        return super().finish_protected(self.cross(tokens))

    def cross(self, tokens: Tokens) -> Tokens:
        """Join `step.join` clips; positions are added after matching, before averaging."""
        place = self._place(tokens)
        tokens = join_clips(tokens, self.step.join)
        if self.step.cross == 0:
            return tokens if place is None else tokens.plus(place)
        return merge(tokens, self.step.cross, similar_by=tokens.x_CND, adding=place)

    def _place(self, tokens: Tokens) -> Tensor | None:
        if self.clip_position is None:
            return None
        videos = len(tokens.x_CND) // tokens.clips_per_video
        place = self.clip_position.repeat(videos, len(tokens), 1)
        return concatenate(place, self.step.join, tokens.num_protected)


@dataclass(frozen=True)
class TempMe(Compression):
    """The paper's compression; the defaults are those of ViT-B/32.

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
    """

    of_frames: ClassVar[str] = "joins neighbouring frames"

    r: int = 2
    joins: Mapping[int, int] | None = None
    keep_cross: float = 0.7
    keep_intra: float = 0.9
    proportional: bool = True
    positions: bool = True
    always_place: bool = False
    apart: bool = False

    def __post_init__(self) -> None:
        if self.r < 0:
            raise BadSetting(f"tempme.r is {self.r}; tokens merged per block, so 0 or more")
        for name in ("keep_cross", "keep_intra"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise BadSetting(
                    f"tempme.{name} is {value}; it is the share kept: above 0, up to 1"
                )

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        joins = default_joins(frames, depth=depth) if self.joins is None else self.joins
        if self.apart:
            joins = dict.fromkeys(joins, 1)
        return schedule(
            tokens=tokens,
            frames=frames,
            depth=depth,
            protected=protected,
            r=self.r,
            joins=joins,
            keep_cross=self.keep_cross,
            keep_intra=self.keep_intra,
        )

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """ClipMe where clips join or tokens merge before attention, ImgMe elsewhere."""
        if step.joined_inside or (step.join == 1 and step.cross == 0):
            return ImgMe(layer, step, proportional=self.proportional)
        learns = self.positions and step.join > 1 and (step.cross > 0 or self.always_place)
        place = nn.Parameter(torch.zeros(step.clips * step.join, 1, width)) if learns else None
        return ClipMe(layer, step, proportional=self.proportional, place=place)
