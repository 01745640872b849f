"""The sensor and the file: noise of every instant, and blocks that were quantised."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tempme.scenes.filming.canvases import Pixels
from tempme.scenes.filming.shots import Sensor, hashed

BLOCK = 8
WIDER = 61
"""How many places along an axis the noise may begin at."""

Levels = npt.NDArray[np.int16]


def sensed(picture: Levels, sensor: Sensor, seed: int, tick: int) -> Pixels:
    """What the file holds of a lit picture (size, size, 3): noise, then quantised blocks."""
    size = picture.shape[0]
    drawn = hashed(seed, tick)
    y, x = drawn % WIDER, (drawn >> 8) % WIDER
    noisy = picture + _noise(sensor.noise, size)[y : y + size, x : x + size]
    np.clip(noisy, 0, 255, out=noisy)
    if not sensor.step:
        return noisy.astype(np.uint8)
    whole = size // BLOCK * BLOCK
    noisy[:whole, :whole] = quantised(noisy[:whole, :whole], sensor.step)
    return noisy.astype(np.uint8)


def quantised(picture: Levels, step: int) -> Levels:
    """Blocks of 8 x 8 with their Walsh-Hadamard coefficients rounded to multiples of a step.

    (H, W, 3), H and W multiples of 8. Sums are of whole numbers below 2**24, exact in fp32 in
    whatever order a library adds them.
    """
    height, width, _ = picture.shape
    down, across = _hadamard(1), _hadamard(3)
    steps = _steps(step, height, width)

    def transformed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        columns = down @ values.reshape(height // BLOCK, BLOCK, 3 * width)
        return np.asarray(columns.reshape(height, width // BLOCK, 3 * BLOCK) @ across)

    kept = transformed(picture.astype(np.float32)).reshape(height, 3 * width)
    kept /= steps
    np.rint(kept, out=kept)
    kept *= steps
    back = transformed(kept)
    back *= np.float32(1 / BLOCK**2)  # a power of two: exact
    np.clip(back, 0, 255, out=back)
    return back.astype(np.int16).reshape(picture.shape)


@lru_cache(maxsize=16)
def _noise(strength: int, size: int) -> Levels:
    """Noise around zero, about as strong as asked for; read-only."""
    side = size + WIDER
    drawn = np.frombuffer(random.Random(f"noise/{size}").randbytes(2 * side * side * 3), np.uint8)
    both = drawn.astype(np.int32).reshape(2, side, side, 3)
    noise: Levels = ((both[0] + both[1] - 255) * strength // 104).astype(np.int16)
    noise.setflags(write=False)
    return noise


@lru_cache(maxsize=2)
def _hadamard(colours: int) -> npt.NDArray[np.float32]:
    """The transform of 8 values as a matrix of 1 and -1, its own inverse times 8; of as many
    colours side by side.
    """
    one = np.array([[1, 1], [1, -1]], np.float32)
    line = np.kron(np.kron(np.kron(one, one), one), np.eye(colours))
    return np.asarray(line, dtype=np.float32)


@lru_cache(maxsize=16)
def _steps(step: int, height: int, width: int) -> npt.NDArray[np.float32]:
    """Steps of all coefficients: coarser the more often a pattern changes its sign; (H, 3 W)."""
    changes = (np.diff(_hadamard(1), axis=1) != 0).sum(axis=1)
    grid = (changes[:, None] + changes) * 2 + 4
    grid[0, 0] = 2
    whole = np.tile(grid * step, (height // BLOCK, width // BLOCK))
    return np.repeat(whole, 3, axis=1).astype(np.float32)
