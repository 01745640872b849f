"""Tokens of several frames in one sequence, of which each frame shows its own, before any join.

What EVS and RLT share. Frames that would be joined first (all of a video, where none are) become
one clip before block 0, with a fixed number of patches: those that changed most from the frame
before. Frames still keep apart: attention is that of each frame over its places (`tokens.Shown`),
so what a dropped patch saves is all that is made of single tokens; attention stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, inf
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Cues, Layer
from tempme.compression.joining import Joining
from tempme.compression.layers import ClipMe, ImgMe
from tempme.compression.method import share_kept
from tempme.errors import BadSetting
from tempme.merging import Matching, Selection, fuse, join_clips, keep, match, others
from tempme.schedule import Dots, Step, View, check_joins, schedule
from tempme.tokens import Shown, Tokens

# Shape letters: V videos, C clips, F frames of a clip, P patches of a frame, N tokens of a clip.


class Apart(ImgMe):
    """Attention frame by frame; `pack`, if any, comes before, and merging after it."""

    def __init__(self, layer: Layer, step: Step, *, proportional: bool, share: bool) -> None:
        super().__init__(layer, step, proportional=proportional)
        self.share = share
        self.sees_one_frame = False  # frames are compared with those before, of their own clip
        self.joins, self.joins_alike = step.join, layer.joins_alike

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Of the frames that were packed here or before."""
        return super().attend(self.packed(tokens))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """The protected tokens, each of its own frame."""
        return super().finish_protected(self.packed(tokens))

    def packed(self, tokens: Tokens) -> Tokens:
        """Frames in one clip, unless they are already."""
        if self.step.join == 1 and tokens.shown is not None:
            return tokens
        left = self.step.cross + self.step.unseen
        return pack(tokens, frames=self.step.join, drop=left, share=self.share)

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """Merge `step.intra` tokens, of one frame where there is a choice."""
        return merge_apart(tokens, self.step.intra, cues.keys)


class Opening(ClipMe):
    """The block from which on the frames of a clip see each other."""

    def __init__(
        self, layer: Layer, step: Step, *, proportional: bool, place: nn.Parameter | None
    ) -> None:
        super().__init__(layer, step, proportional=proportional, place=place)
        self.sees_one_frame = False
        self.joins_alike = layer.joins_alike and (place is None or len(place) == step.opens)

    def join(self, tokens: Tokens) -> Tokens:
        """A token stands where its own frame does; then as ClipMe."""
        shown = tokens.shown
        assert shown is not None
        together = replace(tokens, shown=None)
        if self.clip_position is None:
            return self.across(together, None)
        places = shown.rows_CFP.shape[2]
        frame = shown.asks_CN // places
        of_clip = self.clip_position.squeeze(1).view(-1, self.step.opens, tokens.x_CND.shape[-1])
        times = len(frame) // len(of_clip)
        clip = torch.arange(len(of_clip), device=frame.device).repeat(times)[:, None]
        return self.across(together, of_clip[clip, frame])


def pack(tokens: Tokens, *, frames: int, drop: int, share: bool) -> Tokens:
    """Every `frames` neighbouring frames as one clip, without `drop` patches that changed least.

    share: a patch that is dropped shows the token of the last frame that kept it, which then counts
    by all of its patches; else nothing is left of it.
    """
    change = tokens.beside.change_VFP
    assert change is not None  # the backbone's witness is what `Packing.witness` gives
    led = tokens.num_protected
    kept, last = kept_patches(change.unflatten(1, (-1, frames)).flatten(0, 1), drop)
    joined = join_clips(tokens, frames)
    small = keep(joined, joined.num_protected + kept)
    if share:
        small = _counted(joined, small, kept, last)
    return replace(
        small,
        shown=_shown(kept, last, led, hide=not share),
        beside=small.beside._replace(change_VFP=None),
    )


@torch.no_grad()
def kept_patches(change_CFP: Tensor, drop: int) -> tuple[Tensor, Tensor]:
    """(C, F P - drop) the patches that stay, ascending; (C, F, P) the one that each place shows.

    All of a clip's first frame stay, then those that changed most; among equals the earlier.
    """
    clips, frames, places = change_CFP.shape
    change = change_CFP.float().clone()
    change[:, 0] = inf
    order = change.flatten(1).sort(dim=-1, descending=True, stable=True).indices
    left = order[:, order.shape[1] - drop :]
    stays = torch.ones_like(order, dtype=torch.bool).scatter(1, left, False)
    row = (stays.cumsum(dim=1) - 1).view(clips, frames, places)
    last = [row[:, 0]]
    for frame, here in zip(row.unbind(1)[1:], stays.view_as(row).unbind(1)[1:], strict=True):
        last.append(torch.where(here, frame, last[-1]))
    return others(left, order.shape[1]), torch.stack(last, dim=1)


def _shown(kept: Tensor, last: Tensor, led: int, *, hide: bool) -> Shown:
    """Places of a frame: its protected tokens, then its patches."""
    clips, frames, patches = last.shape
    places, device = led + patches, last.device
    head = torch.arange(frames * led, device=device).view(frames, led)
    rows = torch.cat([head.expand(clips, -1, -1), frames * led + last], dim=2)
    own = torch.arange(frames, device=device)[:, None] * places
    of_head = (own + torch.arange(led, device=device)).flatten().expand(clips, -1)
    of_kept = kept // patches * places + led + kept % patches
    asks = torch.cat([of_head, of_kept], dim=1)
    if not hide:
        return Shown(rows, asks)
    hidden = torch.ones(clips, frames * places, dtype=torch.bool, device=device)
    return Shown(rows, asks, hidden.scatter(1, asks, False).view(clips, frames, places))


def _counted(joined: Tokens, small: Tokens, kept: Tensor, last: Tensor) -> Tokens:
    """The kept tokens, each of the size of its run; patches of the run have moved into it."""
    p, n = joined.num_protected, joined.num_free
    gone = others(kept, n)
    slots = p + last.flatten(1).gather(1, gone)
    run = small.sizes.squeeze(-1)
    run = run.scatter_add(1, slots, torch.ones_like(slots, dtype=run.dtype))
    selection: Selection = small.moves[-1]  # type: ignore[assignment]
    moves = (*joined.moves, replace(selection, moving=p + gone, slots=slots))
    return replace(small, size_CN1=run[..., None], moves=moves)


def merge_apart(tokens: Tokens, r: int, keys_CND: Tensor) -> Tokens:
    """Merge the r most similar pairs, those of one frame before any others."""
    shown = tokens.shown
    if r == 0 or shown is None:
        return tokens
    frame = shown.asks_CN // shown.rows_CFP.shape[2]
    pairs: Matching = match(keys_CND, r, tokens.num_protected, group_CN=frame)
    rows = pairs.assignment.gather(1, shown.rows_CFP.flatten(1)).view_as(shown.rows_CFP)
    asks = shown.asks_CN.gather(1, pairs.sources)
    return replace(fuse(tokens, pairs), shown=shown._replace(rows_CFP=rows, asks_CN=asks))


@dataclass(frozen=True)
class Packing(Joining):
    """Fewer patches before block 0, then TempMe's joins.

    keep: share of the patches that go through the blocks before the first join; all of a clip's
        first frame do, so that it is never less than one frame of those that join first.
    at_once: all frames of a video join in the block of the first join, so that all of them share
        one number of patches.
    """

    share: ClassVar[bool]

    keep: float = 0.75
    at_once: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise BadSetting(
                f"{self.called}.keep is {self.keep}; it is the share kept: above 0, up to 1"
            )
        if self.apart:
            raise BadSetting(
                f"{self.called}.apart is true, but what keeps frames apart has no joins: set "
                f"joins to none ({{}})"
            )

    @property
    def drops_patches(self) -> bool:
        """Whether patches leave without a trace."""
        return not self.share and self.keep < 1

    def joins_of(self, frames: int, *, depth: int) -> dict[int, int]:
        """Those of TempMe, or the first of them for all frames."""
        joins = super().joins_of(frames, depth=depth)
        return {min(joins): frames} if joins and self.at_once else joins

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block; frames that have no neighbour, or join at once, are not packed."""
        joins = self.joins_of(frames, depth=depth)
        check_joins(joins, frames=frames, depth=depth)
        first = min(joins, default=depth)
        k = joins.get(first, frames)
        if k == 1 or first == 0:
            return super().steps(tokens=tokens, frames=frames, depth=depth, protected=protected)
        patches = tokens - protected
        kept = max(patches, floor(round(self.keep * k * patches, 6)))
        plan = schedule(
            tokens=k * protected + kept,
            frames=frames // k,
            depth=depth,
            protected=k * protected,
            r=k * self.r,
            joins={block: 1 if block == first else n for block, n in joins.items()},
            keep_cross=self.keep_cross,
            keep_intra=self.keep_intra,
        )
        view, gone = View(k, tokens), k * patches - kept
        return tuple(
            self._apart(step, view, gone if block == 0 else None)
            if block < first
            else replace(step, opens=k if block == first else 0)
            for block, step in enumerate(plan)
        )

    def scaled(self, strength: float, *, counts: float | None = None) -> Self:
        """Fewer patches, and less of what goes on."""
        merging = super().scaled(strength, counts=counts)
        return replace(merging, keep=share_kept(self.keep, strength))

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """Frames apart, then TempMe's layers."""
        if step.view is not None:
            return Apart(layer, step, proportional=self.proportional, share=self.share)
        if not step.opens:
            return super().wrap(layer, step, width)
        learns = self.positions and (step.cross > 0 or self.always_place)
        places = step.opens if self.halves else step.clips * step.opens
        place = nn.Parameter(torch.zeros(places, 1, width)) if learns else None
        return Opening(layer, step, proportional=self.proportional, place=place)

    def _apart(self, step: Step, view: View, gone: int | None) -> Step:
        """A step of frames that keep apart; `gone` patches leave where they are packed."""
        free = step.attended - step.protected
        compared = (free // 2) * (free - free // 2) if step.intra else 0
        apart = replace(step, view=view, dots=Dots(keys=step.clips * compared))
        if gone is None:
            return apart
        return replace(
            apart,
            join=view.frames,
            cross=gone if self.share else 0,
            unseen=0 if self.share else gone,
        )
