"""Which moments of a video are looked at: arithmetic on times and frame numbers alone."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from tempme.errors import BadSetting
from tempme.video.values import Reading, Window


def uniform_indices(
    num_frames: int,
    fps: float,
    *,
    frames: int = 12,
    framerate: int = 1,
    start: float | None = None,
    end: float | None = None,
) -> tuple[int, ...]:
    """Frame numbers that the published benchmarks use: `framerate` a second, then F of those.

    `start` and `end` (whole seconds, in either order) restrict the choice to a part of the video.
    Where the published code fails, on less than one frame in two steps, every frame counts.
    """
    if min(num_frames, frames, framerate) < 1 or fps <= 0:
        raise BadSetting(f"{frames} of {num_frames} frames at {fps} fps: all must be positive")
    first, last = _bounds(num_frames, fps, start=start, end=end)
    stride = max(1, round(fps / framerate))
    grid = range(first, last + 1, stride)
    if len(grid) > frames:
        picks = np.linspace(0, len(grid) - 1, num=frames, dtype=int)
        return tuple(grid[int(i)] for i in picks)
    if len(grid) == frames:
        return tuple(grid)
    return tuple(int(i) for i in np.linspace(first, last, num=frames, dtype=int))


def _bounds(
    num_frames: int, fps: float, *, start: float | None, end: float | None
) -> tuple[int, int]:
    if start is None or end is None:
        return 0, num_frames - 1
    low, high = sorted((max(0, int(start)), max(0, int(end))))
    if low == high:
        high = low + 1
    last = int(min(high * fps, num_frames - 1))
    return min(int(low * fps), last), last


def spread(start_seconds: float, end_seconds: float, frames: int) -> tuple[float, ...]:
    """The middles of `frames` equal parts of a span."""
    part = (end_seconds - start_seconds) / frames
    return tuple(start_seconds + (i + 0.5) * part for i in range(frames))


def windows(
    duration_seconds: float,
    *,
    frames: int = 12,
    every_seconds: float = 1.0,
    overlap: float = 0.5,
    start_seconds: float = 0.0,
) -> tuple[Window, ...]:
    """Cut a video into windows of `frames` times, `every_seconds` apart, that cover all of it.

    A video no longer than one window is one window over which the times spread. Longer ones are
    looked at on a single grid, the middles of each `every_seconds`, so that windows share frames;
    a window starts every `frames * (1 - overlap)` grid steps (at least one), and the last one ends
    with the video and takes the last grid times. A rest that holds no grid time of its own
    lengthens the window before it. `start_seconds` is when the first frame is shown: grid and
    windows begin there, and `duration_seconds` is counted from it.
    """
    _check_windows(duration_seconds, frames, every_seconds, overlap)
    cut = _from_zero(duration_seconds, frames, every_seconds, overlap)
    return tuple(_later(window, start_seconds) for window in cut) if start_seconds else cut


def every_at_most(duration_seconds: float, reading: Reading) -> float:
    """How far apart frames are where no more than `max_windows` are made; as wished if they fit."""
    step = max(1, round(reading.frames * (1 - reading.overlap)))
    most = reading.frames + (reading.max_windows - 1) * step
    return max(reading.every_seconds, duration_seconds / most)


def _later(window: Window, seconds: float) -> Window:
    return Window(
        window.start_seconds + seconds,
        window.end_seconds + seconds,
        tuple(time + seconds for time in window.seconds),
    )


def _from_zero(
    duration_seconds: float, frames: int, every_seconds: float, overlap: float
) -> tuple[Window, ...]:
    span = frames * every_seconds
    if duration_seconds <= span:
        times = spread(0.0, duration_seconds, frames)
        return (Window(0.0, duration_seconds, times),)
    grid = max(frames, math.ceil(duration_seconds / every_seconds - 0.5))
    step = max(1, round(frames * (1 - overlap)))
    starts = list(range(0, grid - frames + 1, step))
    cut = [_window(first, frames, every_seconds) for first in starts]
    if starts[-1] == grid - frames:
        cut[-1] = Window(cut[-1].start_seconds, duration_seconds, cut[-1].seconds)
    else:
        times = _window(grid - frames, frames, every_seconds).seconds
        cut.append(Window(duration_seconds - span, duration_seconds, times))
    return tuple(cut)


def _window(first: int, frames: int, every_seconds: float) -> Window:
    times = tuple((first + i + 0.5) * every_seconds for i in range(frames))
    return Window(first * every_seconds, (first + frames) * every_seconds, times)


def _check_windows(duration: float, frames: int, every_seconds: float, overlap: float) -> None:
    if not (math.isfinite(duration) and duration >= 0):
        raise BadSetting(f"duration_seconds is {duration}; it must be finite and not negative")
    Reading(frames=frames, every_seconds=every_seconds, overlap=overlap)  # which checks them


def nearest(ascending: Sequence[int], value: int) -> int:
    """The member of a sorted sequence closest to `value`; the earlier one of two equally close."""
    i = bisect_left(ascending, value)
    if i == 0:
        return ascending[0]
    if i == len(ascending):
        return ascending[-1]
    before, after = ascending[i - 1], ascending[i]
    return before if value - before <= after - value else after
