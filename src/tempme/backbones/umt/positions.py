"""Where patches stand: sines and cosines, computed rather than learnt."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate


def position_table(
    *, frames: int, patches: int, width: int, trained_frames: int | None = None
) -> Tensor:
    """(F, N, D) fp32 on the CPU, of places counted through the whole video, frame by frame.

    `trained_frames`: the table of that many frames, stretched along time to `frames` (linear
    between the middles of frames). A single frame is a video of one.
    """
    counted = trained_frames or frames
    by_frame = torch.from_numpy(_waves(counted * patches, width)).view(counted, patches, width)
    return by_frame if counted == frames else _stretched(by_frame, frames)


@lru_cache(maxsize=16)
def _waves(places: int, width: int) -> NDArray[np.float32]:
    """(places, width): an array, so that no mode of torch (meta, fake, inference) is kept."""
    angles = np.arange(places, dtype=np.float64)[:, None]
    angles = angles / np.power(10000.0, np.arange(0, width, 2) / width)
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # sine and cosine alternate
    return table.reshape(places, width).astype(np.float32)


def _stretched(by_frame_FND: Tensor, frames: int) -> Tensor:
    alike = by_frame_FND.flatten(1).T[None]  # (1, N D, F)
    return interpolate(alike, size=frames, mode="linear", align_corners=False)[0].T.reshape(
        frames, *by_frame_FND.shape[1:]
    )
