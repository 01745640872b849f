"""Frames drawn by their tokens: what merged looks alike (Figure 4 of the paper).

Patches that are part of one token have one fill, their mean colour tinted by the token's own, and
an outline in that, in whichever frames they are. A patch that is a token of its own stays as it
is; a dropped one is dark and hatched.
"""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Shape letters: F frames, S pixels along a side of a frame, P patches of a frame, T tokens.

Pixels: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.int64]

EDGE = (150, 150, 150)
TINT = 0.3  # means alone would show all tokens of a sky alike
# Of a turn; no hue comes twice. Searched, with the two patterns in `hues`, for the greatest least
# distance of a colour to the 24 after it.
HUE_STEP = 5**0.5 - 2


def merged_frames(pixels: Pixels, places_FP: Places) -> Pixels:
    """(F, S, S, 3) frames and the token of every patch, -1 where dropped -> frames by token."""
    frames, patches = places_FP.shape
    grid = round(patches**0.5)
    cell = pixels.shape[1] // grid
    fills, outlines, has_several = _colours(pixels, places_FP)
    out = np.empty_like(pixels)
    for f, frame in enumerate(places_FP.reshape(frames, grid, grid)):
        token = frame.repeat(cell, axis=0).repeat(cell, axis=1)
        merged = has_several[token]
        drawn = np.where(merged[..., None], fills[token], pixels[f])
        drawn[_rims(token, 1) & ~merged] = EDGE
        rims = _rims(token, max(2, cell // 10)) & merged
        drawn[rims] = outlines[token][rims]
        out[f] = np.where((token < 0)[..., None], _hatched(pixels[f]), drawn)
    return out


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """(F, S, S, 3) -> (F, side, side, 3)."""
    resized = [
        Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC) for frame in pixels
    ]
    return np.stack([np.asarray(frame, dtype=np.uint8) for frame in resized])


def hues(number: int) -> Pixels:
    """(number, 3): colours of which none is near those that come soon after it."""
    made = [
        colorsys.hsv_to_rgb(i * HUE_STEP % 1, (1.0, 0.55)[i % 2], (1.0, 0.75, 0.55)[i // 2 % 3])
        for i in range(number)
    ]
    return np.round(np.array(made).reshape(-1, 3) * 255).astype(np.uint8)


def _colours(pixels: Pixels, places_FP: Places) -> tuple[Pixels, Pixels, NDArray[np.bool_]]:
    """Of every token: (T, 3) fill, (T, 3) outline, (T,) whether it has several patches."""
    token = places_FP.reshape(-1)
    stays = token >= 0
    token, means = token[stays], _patch_means(pixels, places_FP.shape[1])[stays]
    tokens = int(token.max(initial=0)) + 1
    sizes = np.bincount(token, minlength=tokens)
    sums = np.stack([np.bincount(token, means[:, c], tokens) for c in range(3)], axis=1)
    mean = sums / np.maximum(sizes, 1)[:, None]
    # Hues go to tokens as they come into sight, so that neighbours get unlike ones.
    seen, first = np.unique(token, return_index=True)
    in_turn = [number for number in seen[first.argsort()] if sizes[number] > 1]
    outlines = np.zeros((tokens, 3), dtype=np.uint8)
    outlines[in_turn] = hues(len(in_turn))
    fills = np.round((1 - TINT) * mean + TINT * outlines).astype(np.uint8)
    return fills, outlines, sizes > 1


def _patch_means(pixels: Pixels, patches: int) -> NDArray[np.float64]:
    """(F P, 3): the mean colour of every patch."""
    grid = round(patches**0.5)
    cell = pixels.shape[1] // grid
    cells = pixels.reshape(len(pixels), grid, cell, grid, cell, 3)
    means: NDArray[np.float64] = cells.mean(axis=(2, 4)).reshape(-1, 3)
    return means


def _rims(token: Places, width: int) -> NDArray[np.bool_]:
    """(S, S): the pixels within `width` of another token, or of the end of the frame."""
    side = len(token)
    around = np.pad(token, width, constant_values=-2)
    near = np.zeros(token.shape, dtype=bool)
    for down in (0, width, 2 * width):
        for right in (0, width, 2 * width):
            near |= around[down : down + side, right : right + side] != token
    return near


def _hatched(frame: Pixels) -> Pixels:
    down, across = np.indices(frame.shape[:2])
    lines = np.asarray((across + down) % 8 < 2)[..., None]
    return np.where(lines, 95, frame // 5).astype(np.uint8)
