"""Attention of frames that keep apart although their tokens are one clip.

A token that several frames show has its query, key and value made once; each frame looks at its
own places. A token answers in every frame that shows it, and asks in one alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tempme.backbones.attention import attention
from tempme.tokens import Shown, spread

# Shape letters: C clips in the batch, F frames of a clip, P places of a frame, N tokens of a clip,
# H heads, D width.


def attend_by_frame(
    q: Tensor, k: Tensor, v: Tensor, shown: Shown, *, beside: Sequence[Tensor] | None = None
) -> Tensor:
    """Queries, keys and values of tokens (C, H, N, D / H) -> (C, asking, D) answers.

    All tokens ask, or the first of each clip alone, which stand frame by frame. beside: keys and
    values of prompts that every frame sees.
    """
    heads, frames = q.shape[1], shown.rows_CFP.shape[1]
    asking, keys, values = (part.transpose(1, 2).flatten(2) for part in (q, k, v))
    all_ask = asking.shape[1] == keys.shape[1]
    if all_ask:
        by_place = by_frame(asking, shown)
    else:
        led = asking.shape[1] // frames
        by_place = asking.reshape(len(asking) * frames, led, asking.shape[-1])
    a, b, c = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in (by_place, by_frame(keys, shown), by_frame(values, shown))
    )
    bias = bias_of(shown, a.dtype)
    if beside is not None:
        b, c = (torch.cat([spread(m, len(a)), t], 2) for m, t in zip(beside, (b, c), strict=True))
        bias = None if bias is None else functional.pad(bias, (beside[0].shape[2], 0))
    y = attention(a, b, c, bias, causal=False).transpose(1, 2).flatten(2)
    return by_token(y, shown) if all_ask else y.reshape(asking.shape)


def by_frame(x_CND: Tensor, shown: Shown) -> Tensor:
    """(C, N, D) of tokens -> (C F, P, D), what stands at the places of every frame."""
    places = shown.rows_CFP.shape[2]
    clips, n, width = x_CND.shape
    rows = shown.rows_CFP.flatten(1) + n * _numbers(clips, x_CND.device)
    return (
        x_CND.reshape(-1, width)
        .index_select(0, rows.flatten())
        .view(clips * shown.rows_CFP.shape[1], places, width)
    )


def by_token(y_CPD: Tensor, shown: Shown) -> Tensor:
    """(C F, P, D) of places -> (C, N, D), of the place at which each token asks."""
    frames, places = shown.rows_CFP.shape[1:]
    clips, n = shown.asks_CN.shape
    rows = shown.asks_CN + frames * places * _numbers(clips, y_CPD.device)
    return (
        y_CPD.reshape(frames * places * clips, y_CPD.shape[-1])
        .index_select(0, rows.flatten())
        .view(clips, n, y_CPD.shape[-1])
    )


def bias_of(shown: Shown, dtype: torch.dtype) -> Tensor | None:
    """(C F, 1, 1, P): so little that a hidden place is not seen; finite, for rows with no other."""
    if shown.hidden_CFP is None:
        return None
    hidden = shown.hidden_CFP.flatten(0, 1)[:, None, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill(
        hidden, torch.finfo(dtype).min / 2
    )


def _numbers(clips: int, device: torch.device) -> Tensor:
    return torch.arange(clips, device=device)[:, None]
