"""A folder of pictures as a video: frames that somebody has already extracted.

The pictures of a folder are its frames in the order of the numbers in their names (2 before 10),
`Reading.frame_rate` of them a second, which the folder does not say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tempme.datasets.pairs import Moment
from tempme.video import Failure, Frames, Reading, VideoInfo, read_image, uniform_indices
from tempme.video.images import open_image

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
CONTAINER = "folder of pictures"
_NUMBERS = re.compile(r"(\d+)")


def is_frame_folder(folder: Path) -> bool:
    """Whether a folder holds pictures, and so may be a video."""
    return next(_pictures(folder), None) is not None


def read_frames(
    folder: Path, moment: Moment, reading: Reading, *, draws: Sequence[float] = ()
) -> Frames | Failure:
    """`reading.frames` pictures by the rule for videos; a Failure where one of them is unreadable.

    The published rule (one a second, then spread evenly) for whole videos and for moments; with
    `draws` one picture of each of as many equal parts, at this share of its part.
    """
    found = _sorted(folder, reading)
    if isinstance(found, Failure):
        return found
    rate, length = reading.frame_rate, len(found) / reading.frame_rate
    if (moment.start_seconds or 0.0) >= length:
        return Failure(
            folder,
            f"holds {len(found)} pictures, {length:g} s at {rate:g} a second: nothing from "
            f"{moment.start_seconds:g} s on",
        )
    picks = _picks(len(found), moment, reading, draws)
    pixels = {}
    for number in dict.fromkeys(picks):
        read = read_image(found[number], reading.size, fit=reading.fit)
        if isinstance(read, Failure):
            return Failure(folder, f"{found[number].name}: {read.reason}", read.is_transient)
        pixels[number] = read
    return Frames(
        np.stack([pixels[number] for number in picks]),
        tuple(number / rate for number in picks),
        _info(folder, found, reading),
    )


def probe_frames(folder: Path, reading: Reading) -> VideoInfo | Failure:
    """What the pictures are; the first of them is decoded."""
    found = _sorted(folder, reading)
    if isinstance(found, Failure):
        return found
    first = read_image(found[0], reading.size)
    if isinstance(first, Failure):
        return Failure(folder, f"{found[0].name}: {first.reason}", first.is_transient)
    return _info(folder, found, reading)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder in their order."""
    return sorted((Path(entry.path) for entry in _pictures(folder)), key=_key)


def one_of_each_part(start: float, end: float, shares: Sequence[float]) -> tuple[float, ...]:
    """A time in each of as many equal parts of a span as there are shares of a part."""
    step = (end - start) / len(shares)
    return tuple(start + (number + share) * step for number, share in enumerate(shares))


def _picks(count: int, moment: Moment, reading: Reading, draws: Sequence[float]) -> tuple[int, ...]:
    """Which pictures a moment shows, as `read_moment` chooses frames of a file."""
    start, end, rate = moment.start_seconds, moment.end_seconds, reading.frame_rate
    if start is None and end is None and not draws:
        return uniform_indices(count, rate, frames=reading.frames)
    first, last = start or 0.0, count / rate if end is None else end
    if first.is_integer() and last.is_integer() and not draws:
        return uniform_indices(count, rate, frames=reading.frames, start=first, end=last)
    times = one_of_each_part(first, last, draws or (0.5,) * reading.frames)
    return tuple(min(count - 1, int(time * rate)) for time in times)


def _pictures(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
                if suffix in PICTURES and not entry.name.startswith(".") and entry.is_file():
                    yield entry
    except OSError:
        return


def _sorted(folder: Path, reading: Reading) -> list[Path] | Failure:
    found = picture_files(folder)
    if not found:
        return Failure(folder, "a folder without pictures")
    if len(found) > reading.max_frames:
        return Failure(folder, f"holds {len(found):,} pictures, more than {reading.max_frames:,}")
    return found


def _info(folder: Path, found: list[Path], reading: Reading) -> VideoInfo:
    with open_image(found[0]) as first:
        width, height, codec = first.width, first.height, str(first.format).lower()
    return VideoInfo(
        path=folder,
        duration_seconds=len(found) / reading.frame_rate,
        width=width,
        height=height,
        fps=reading.frame_rate,
        codec=codec,
        container=CONTAINER,
        num_frames=len(found),
        num_keyframes=len(found),
        rotation_degrees=0,
    )


def _key(path: Path) -> list[tuple[int, str]]:
    """Numbers by their size, the rest by its letters."""
    parts = _NUMBERS.split(path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
