"""Joining where equal positions that do not change merge first.

Of ours, after what STTM, DyCoke and FrameFusion do behind an encoder. TempMe (Shen et al., ICLR
2025, arXiv 2409.01156), but for what merges across clips: of neighbouring clips that join, a token
that is almost the one of the clip before at the same place in the frame (cosine of whole tokens
`still` or more) merges into that one, the surest first, through as many clips as it lasts; if fewer
do than are to leave, TempMe's matching of the others fills up. So the number of tokens is that of
TempMe, whatever the video shows, and what stands still is found without being searched for. The
place of a token is that of the patch it started as: others that merged into it have gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.joining import Joining
from tempme.compression.layers import ClipMe, ImgMe
from tempme.errors import BadSetting
from tempme.merging import Selection, fuse, others
from tempme.schedule import Dots, Step
from tempme.tokens import Tokens

# Shape letters: C clips after the join, K clips that join, N free tokens of each, M = K N, D width.

SURE = 4.0  # above any cosine: what stands still leaves before what is only alike


class PlacedImgMe(ImgMe):
    """ImgMe whose tokens know where they started."""

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Places are counted before anything merges."""
        return super().attend(placed(tokens))


class PlacedClipMe(ClipMe):
    """ClipMe that merges equal places of neighbouring clips first."""

    still: float

    def join(self, tokens: Tokens) -> Tokens:
        """Places are counted before anything joins."""
        return super().join(placed(tokens))

    def across(self, tokens: Tokens, place: Tensor | None) -> Tokens:
        """As many tokens leave as in ClipMe."""
        if self.step.cross == 0 or self.step.join == 1:
            return super().across(tokens, place)
        pairs = match_places(tokens, self.step.cross, clips=self.step.join, still=self.still)
        return fuse(tokens if place is None else tokens.plus(place), pairs)


def placed(tokens: Tokens) -> Tokens:
    """The same tokens, numbered within their frames unless they are already."""
    if tokens.place_CN is not None:
        return tokens
    numbers = torch.arange(len(tokens), device=tokens.x_CND.device)
    return replace(tokens, place_CN=numbers.expand(len(tokens.x_CND), -1))


@torch.no_grad()
def match_places(tokens: Tokens, r: int, *, clips: int, still: float) -> Selection:
    """Which r tokens of `clips` joined clips leave, and where to; among equals the first.

    In fp32. Chains are followed to their end: what merges into a token that leaves goes with it.
    """
    p, place = tokens.num_protected, tokens.place_CN
    assert place is not None
    free = normalize(tokens.x_CND[:, p:].float(), dim=-1)
    with torch.autocast(free.device.type, enabled=False):  # which would round to bf16
        sure, before = _before(free, place[:, p:], clips)
        stands = sure >= still
        best, partner = _matched(free, stands, first=p % 2)
    score = torch.where(stands, sure + SURE, best)
    moved = score.sort(dim=-1, descending=True, stable=True).indices[:, :r]
    here = torch.arange(free.shape[1], device=free.device).expand_as(score)
    leaves = torch.zeros_like(stands).scatter(1, moved, True)
    ends = torch.where(leaves, torch.where(stands, before, partner), here)
    for _ in range(clips.bit_length() + 1):  # each pass doubles how far it looks
        ends = ends.gather(1, ends)
    head = torch.arange(p, device=free.device).expand(len(score), -1)
    kept = others(moved, free.shape[1])
    row = (~leaves).cumsum(dim=1) - 1
    return Selection(
        sources=torch.cat([head, p + kept], dim=1),
        moving=p + moved,
        slots=p + row.gather(1, ends.gather(1, moved)),
        num_tokens=len(tokens),
        num_out=len(tokens) - r,
    )


def _before(free_CMD: Tensor, place_CM: Tensor, clips: int) -> tuple[Tensor, Tensor]:
    """(C, M) cosine to the nearest token of the clip before at the same place, and its number.

    Minus infinity where there is none.
    """
    x, place = (t.unflatten(1, (clips, -1)) for t in (free_CMD, place_CM))
    n = x.shape[2]
    alike = x[:, 1:] @ x[:, :-1].mT
    elsewhere = place[:, 1:, :, None] != place[:, :-1, None]
    near, which = alike.masked_fill(elsewhere, float("-inf")).max(dim=-1)
    which = which + n * torch.arange(clips - 1, device=x.device)[:, None]
    nothing = torch.full_like(near[:, :1], float("-inf")), torch.zeros_like(which[:, :1])
    of_first, to_first = nothing
    near, which = torch.cat([of_first, near], dim=1), torch.cat([to_first, which], dim=1)
    return near.flatten(1), which.flatten(1)


def _matched(free_CMD: Tensor, stands_CM: Tensor, *, first: int) -> tuple[Tensor, Tensor]:
    """(C, M) cosine to the best partner, and its number, of tokens of A; else minus infinity.

    A and B take turns, as in TempMe; what stands still receives nothing.
    """
    a, b = free_CMD[:, first::2], free_CMD[:, 1 - first :: 2]
    alike = (a @ b.mT).masked_fill(stands_CM[:, None, 1 - first :: 2], -SURE)
    best, partner = alike.max(dim=-1)
    scores = torch.full(stands_CM.shape, float("-inf"), device=a.device)
    to = torch.zeros(stands_CM.shape, dtype=torch.int64, device=a.device)
    scores[:, first::2], to[:, first::2] = best, 2 * partner + 1 - first
    return scores, to


@dataclass(frozen=True)
class Aligned(Joining):
    """TempMe's merging, equal places that do not change first.

    still: cosine from which on a token is the one at its place in the clip before.
    """

    called: ClassVar[str] = "aligned"

    still: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -1 <= self.still <= 1:
            raise BadSetting(f"aligned.still is {self.still}; it is a cosine: from -1 to 1")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block: that of TempMe, and what comparing places costs."""
        plan = super().steps(tokens=tokens, frames=frames, depth=depth, protected=protected)
        return tuple(replace(step, dots=_dots(step)) for step in plan)

    def inside(self, layer: Layer, step: Step) -> ImgMe:
        """Tokens know their places from the first block on."""
        return PlacedImgMe(layer, step, proportional=self.proportional)

    def joined(self, layer: Layer, step: Step, place: nn.Parameter | None) -> ClipMe:
        """The layer in which places are compared."""
        made = PlacedClipMe(layer, step, proportional=self.proportional, place=place)
        made.still = self.still
        return made


def _dots(step: Step) -> Dots | None:
    if step.cross == 0 or step.join == 1:
        return None
    free = step.attended + step.cross - step.protected
    n = free // step.join
    compared = (step.join - 1) * n * n + (free // 2) * (free - free // 2)
    left = step.attended - step.protected
    keys = (left // 2) * (left - left // 2) if step.intra else 0
    return Dots(before=step.clips * compared, keys=step.clips * keys)
