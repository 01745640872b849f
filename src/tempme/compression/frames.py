"""Whole frames that merge: all their tokens, place by place."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tempme.merging import Matching, Selection, fuse
from tempme.tokens import Tokens

# Shape letters: C clips in the batch, V videos, F frames, N tokens of a frame, D width.


def fuse_frames(tokens: Tokens, pairs: Matching | Selection) -> Tokens:
    """Average frames, of equal length, into others, weighted by size; class tokens merge along.

    pairs: over the frames of every video. The feature then weighs a frame by those it holds.
    """
    frames, left = tokens.clips_per_video, pairs.sources.shape[1]
    fused = _fused(tokens, tokens.x_CND, pairs)
    places = pairs.ends.view(-1, frames) - left * torch.arange(
        tokens.num_videos, device=fused.x_CND.device
    ).unsqueeze(1)
    before = tokens.frame_slots_VF
    return replace(
        fused,
        x_CND=_frames(fused.x_CND, left),
        size_CN1=_frames(fused.sizes, left),
        clips_per_video=left,
        frame_slots_VF=places if before is None else places.gather(1, before),
    )


def averaged_by_frame(tokens: Tokens, like_CND: Tensor, pairs: Matching | Selection) -> Tensor:
    """Something else of these tokens (C, N, any), averaged as `fuse_frames` averages them."""
    return _frames(_fused(tokens, like_CND, pairs).x_CND, pairs.sources.shape[1])


def _fused(tokens: Tokens, x_CND: Tensor, pairs: Matching | Selection) -> Tokens:
    """Tokens of whole videos after the merge, one sequence each."""
    frames, n = tokens.clips_per_video, len(tokens)
    size = tokens.size_CN1
    whole = replace(
        tokens,
        x_CND=_videos(x_CND, frames),
        size_CN1=None if size is None else _videos(size, frames),
        place_CN=None,
    )
    return fuse(
        whole,
        Selection(
            sources=_of_all_tokens(pairs.sources, n),
            moving=_of_all_tokens(pairs.moving, n),
            slots=_of_all_tokens(pairs.slots, n),
            num_tokens=frames * n,
            num_out=pairs.sources.shape[1] * n,
        ),
    )


def _of_all_tokens(frames: Tensor, n: int) -> Tensor:
    """(V, K) frames -> (V, K n): their tokens, counted through the video."""
    return (frames[..., None] * n + torch.arange(n, device=frames.device)).flatten(1)


def _videos(x_CND: Tensor, frames: int) -> Tensor:
    return x_CND.unflatten(0, (-1, frames)).flatten(1, 2)


def _frames(x_VND: Tensor, frames: int) -> Tensor:
    return x_VND.unflatten(1, (frames, -1)).flatten(0, 1)
