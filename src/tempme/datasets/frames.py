"""The frames of a moment as the published benchmarks sample them: one a second, exactly F.

No torch here: processes that decode start fast.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tempme.datasets.pairs import Moment
from tempme.video import Failure, Frames, Reading, VideoInfo, load, load_uniform, probe
from tempme.video.values import Pixels


def read_moment(path: Path, moment: Moment, reading: Reading) -> Frames | Failure:
    """`reading.frames` frames of the moment; never a black or shorter clip, a `Failure` instead.

    Whole videos and moments in whole seconds are sampled as `tempme.video.uniform_indices` says.
    The published rule rounds other moments to whole seconds; they get evenly spread frames.
    """
    start, end = moment.start_seconds, moment.end_seconds
    if start is None and end is None:
        return load_uniform(path, reading)
    if end is None:
        info = probe(path, reading)
        if not isinstance(info, VideoInfo):
            return info
        end = info.duration_seconds
    start = start or 0.0
    if start.is_integer() and end.is_integer():
        return load_uniform(path, reading, start=start, end=end)
    step = (end - start) / reading.frames
    times = [start + (number + 0.5) * step for number in range(reading.frames)]
    return load(path, replace(reading, sampling="exact"), seconds=times)


def read_pixels(job: tuple[int, Path, Moment], *, reading: Reading) -> Pixels | Failure:
    """`read_moment` of a numbered moment in a worker: only the pixels (F, S, S, 3) travel."""
    _, path, moment = job
    answer = read_moment(path, moment, reading)
    return answer.pixels if isinstance(answer, Frames) else answer
