"""The one value that travels through the vision encoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Shape letters: V videos, F frames, P patches of a frame, C clips in the batch, N tokens per clip,
# D width, B prompted parts (1: all clips alike; V: by video; C: by clip), M prompts, G tokens of a
# video, W tokens that words watch.


class Move(Protocol):
    """One change of the rows of a batch: a merge, or a join of clips."""

    @property
    def ends(self) -> Tensor:
        """(C N,) int64: the row that each row of the batch ends in; -1 where it is dropped."""


class Beside(NamedTuple):
    """What tunings add to a batch: it travels beside the tokens, so that no merge meets it.

    prompts_BMD: the next attention lets every clip see them (words: after the first word), and
        they are gone after it. They ask nothing: a prompt that is replaced before the next block
        need not go through this one.
    video_VGD: tokens of whole videos that see all clips, and live through the blocks (DGL).
    mask_VF: 1 for frames that count, for layers in which frames meet; None: all of them.
    change_VFP: how much each patch differs from that of the frame before; None: nobody asked.
    """

    prompts_BMD: Tensor | None = None
    video_VGD: Tensor | None = None
    mask_VF: Tensor | None = None
    change_VFP: Tensor | None = None


class Watched(NamedTuple):
    """What words that look at a video see beside themselves (UMT).

    hidden_CN: True for words that only fill a row up; nobody sees them.
    x_BWD: tokens of videos, which the words look at: of one for all, or of one for as many
        neighbouring texts each.
    bias_BW: added to how much they look at each token; minus infinity hides it.
    """

    hidden_CN: Tensor | None = None
    x_BWD: Tensor | None = None
    bias_BW: Tensor | None = None


class Shown(NamedTuple):
    """How frames look at a clip that holds the tokens of several, each at its own places.

    rows_CFP: the token that each place of a frame shows; places of several frames may show one.
    asks_CN: the place, counted through the frames of the clip, at which a token asks.
    hidden_CFP: True for places that show nothing; None: all show a token.
    """

    rows_CFP: Tensor
    asks_CN: Tensor
    hidden_CFP: Tensor | None = None

    def of(self, index: Tensor) -> Shown:
        """The same of the clips at `index`."""
        hidden = self.hidden_CFP
        return Shown(
            self.rows_CFP[index], self.asks_CN[index], None if hidden is None else hidden[index]
        )


NOTHING_BESIDE, NOTHING_WATCHED = Beside(), Watched()


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch of clips, with everything later blocks need to know.

    `size_CN1` counts the patches that each token stands for. It stays None until the first
    merge, so that systems that never merge keep the fast attention kernel. `moves` are the merges
    and joins so far, oldest first; `tracing` follows the patches through them.

    The text encoder passes the same value: a text is a clip of words, and `causal`.
    """

    x_CND: Tensor
    size_CN1: Tensor | None
    clips_per_video: int
    num_protected: int = 1  # leading tokens no merge may touch: class tokens, prompts
    moves: tuple[Move, ...] = ()
    place_CN: Tensor | None = None  # where in its frame each token started, where that is asked for
    shown: Shown | None = None  # how frames look at a clip; None: all of its tokens see each other
    frame_slots_VF: Tensor | None = None  # the clip that holds each frame, once whole frames merged
    causal: bool = False  # each token sees itself and those before it: words
    beside: Beside = NOTHING_BESIDE  # what tunings add
    watched: Watched = NOTHING_WATCHED  # what words look at

    def __len__(self) -> int:
        return self.x_CND.shape[1]

    @property
    def num_free(self) -> int:
        """Tokens of a clip that may merge."""
        return len(self) - self.num_protected

    @property
    def sizes(self) -> Tensor:
        """(C, N, 1) fp32: patches per token; ones before the first merge."""
        if self.size_CN1 is not None:
            return self.size_CN1
        return torch.ones_like(self.x_CND[..., :1], dtype=torch.float32)

    @property
    def num_videos(self) -> int:
        """Videos in the batch."""
        return self.x_CND.shape[0] // self.clips_per_video

    def seeing(self, prompts_BMD: Tensor) -> Tokens:
        """The same tokens, with more prompts for the next attention."""
        more = prompts_BMD if prompts_BMD.ndim == 3 else prompts_BMD[None]
        before = self.beside.prompts_BMD
        if before is not None:
            parts = max(len(more), len(before))
            more = torch.cat([spread(part, parts) for part in (before, more)], dim=1)
        return self.with_prompts(more)

    def with_prompts(self, prompts_BMD: Tensor | None) -> Tokens:
        """The same tokens, with these prompts for the next attention and no others."""
        return replace(self, beside=self.beside._replace(prompts_BMD=prompts_BMD))

    def with_video(self, video_VGD: Tensor | None) -> Tokens:
        """The same tokens, with these of their videos."""
        return replace(self, beside=self.beside._replace(video_VGD=video_VGD))

    def plus(self, residual_CND: Tensor) -> Tokens:
        """The same tokens after a residual branch."""
        return replace(self, x_CND=self.x_CND + residual_CND)

    def protected(self) -> Tokens:
        """Only what the feature of a video is made of: its own tokens, else the leading ones.

        Where none leads (a backbone without class tokens), it is made of all of them.
        """
        video = self.beside.video_VGD
        if video is not None:
            return Tokens(video, None, clips_per_video=1, num_protected=video.shape[1])
        if not self.num_protected:
            return self
        n = self.num_protected
        size = None if self.size_CN1 is None else self.size_CN1[:, :n]
        return replace(self, x_CND=self.x_CND[:, :n], size_CN1=size, shown=None)

    def frame_weights(self, mask_VF: Tensor | None = None) -> Tensor | None:
        """(V, P): how many frames each part of the feature stands for, of those the mask counts.

        Parts are the class tokens of a video, of which every frame or merged frame keeps one; or
        its clips, where there are none. None where all count alike.
        """
        slots = self.frame_slots_VF
        if slots is None:
            if mask_VF is None or self.num_protected:
                return mask_VF
            return mask_VF.float().view(len(mask_VF), self.clips_per_video, -1).sum(dim=-1)
        counted = torch.ones_like(slots) if mask_VF is None else mask_VF
        empty = torch.zeros(len(slots), self.clips_per_video, device=slots.device)
        return empty.scatter_add(1, slots, counted.to(empty.dtype))

    def counted(self, mask_VF: Tensor) -> Tensor:
        """(C, N, 1) fp32: how many patches of frames that the mask counts each token holds.

        Of all tokens of the clips, not of the protected ones alone.
        """
        left = self.x_CND.shape[0] * len(self)
        rows = len(self.moves[0].ends) if self.moves else left
        place = followed(torch.arange(rows, device=self.x_CND.device), self.moves)
        counts = mask_VF.float().flatten().repeat_interleave(rows // mask_VF.numel())
        held = counts.new_zeros(left + 1)  # the last: of patches that were dropped
        held = held.scatter_add(0, torch.where(place < 0, left, place), counts)
        return held[:left].view(-1, len(self), 1)

    def rows(self, index: Tensor, *, clips_per_video: int) -> Tokens:
        """The clips at `index` (integer tensor, any order, repeats allowed), as new videos.

        What their words look at is left behind.
        """
        size = None if self.size_CN1 is None else self.size_CN1[index]
        hidden, place, shown = self.watched.hidden_CN, self.place_CN, self.shown
        return replace(
            self,
            x_CND=self.x_CND[index],
            size_CN1=size,
            clips_per_video=clips_per_video,
            moves=(),
            place_CN=None if place is None else place[index],
            shown=None if shown is None else shown.of(index),
            frame_slots_VF=None,
            watched=Watched(None if hidden is None else hidden[index]),
        )


def followed(place: Tensor, moves: Iterable[Move]) -> Tensor:
    """Rows of a batch -> the rows in which they end after the moves; -1 where they are dropped."""
    for move in moves:
        place = torch.where(place < 0, place, move.ends[place.clamp(min=0)])
    return place


def spread(by_part: Tensor, clips: int) -> Tensor:
    """(B, ...) of one part, all videos or all clips -> (clips, ...): a video's clips alike."""
    parts = len(by_part)
    if parts == clips:
        return by_part
    if parts == 1:
        return by_part.expand(clips, *by_part.shape[1:])
    return by_part.repeat_interleave(clips // parts, dim=0)
