"""The frames of a moment as the published benchmarks sample them: one a second, exactly F.

No torch here: processes that decode start fast.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tempme.datasets.frame_folders import one_of_each_part, read_frames
from tempme.datasets.pairs import Moment
from tempme.datasets.shards import shard_of, unpacked
from tempme.errors import BadVideo
from tempme.video import Failure, Frames, Reading, VideoInfo, load, load_uniform, probe
from tempme.video.values import Pixels


def read_moment(
    path: Path, moment: Moment, reading: Reading, *, draws: Sequence[float] = ()
) -> Frames | Failure:
    """`reading.frames` frames of the moment; never a black or shorter clip, a `Failure` instead.

    Whole videos and moments in whole seconds are sampled as `tempme.video.uniform_indices` says.
    The published rule rounds other moments to whole seconds; they get evenly spread frames. `path`
    may be a folder of pictures, or lead into a tar archive. `draws`: take one frame of each of as
    many equal parts of the moment, at this share of its part.
    """
    if path.is_dir():
        return read_frames(path, moment, reading, draws=draws)
    if not path.is_file() and shard_of(path) is not None:
        return _read_member(path, moment, reading, draws)
    start, end = moment.start_seconds, moment.end_seconds
    if start is None and end is None and not draws:
        return load_uniform(path, reading)
    if end is None:
        info = probe(path, reading)
        if not isinstance(info, VideoInfo):
            return info
        end = info.duration_seconds
    start = start or 0.0
    if start.is_integer() and end.is_integer() and not draws:
        return load_uniform(path, reading, start=start, end=end)
    times = one_of_each_part(start, end, draws or (0.5,) * reading.frames)
    return load(path, replace(reading, sampling="exact"), seconds=times)


def draw_frames(rng: random.Random, frames: int) -> tuple[float, ...]:
    """Where in each of `frames` equal parts a frame is taken: 0 is its start, 1 its end."""
    return tuple(rng.random() for _ in range(frames))


def _read_member(
    place: Path, moment: Moment, reading: Reading, draws: Sequence[float]
) -> Frames | Failure:
    try:
        with unpacked(place) as copy:
            read = read_moment(copy, moment, reading, draws=draws)
    except BadVideo as error:
        return Failure(place, str(error))
    except OSError as error:  # no room for the copy, or the archive is out of reach
        return Failure(place, f"cannot be copied from its archive: {error.strerror}", True)
    if isinstance(read, Failure):
        return replace(read, path=place)
    return replace(read, info=replace(read.info, path=place))


def read_pixels(job: tuple[int, Path, Moment], *, reading: Reading) -> Pixels | Failure:
    """`read_moment` of a numbered moment in a worker: only the pixels (F, S, S, 3) travel."""
    _, path, moment = job
    answer = read_moment(path, moment, reading)
    return answer.pixels if isinstance(answer, Frames) else answer
