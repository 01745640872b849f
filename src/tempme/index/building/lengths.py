"""How long a video says it is, from a few bytes of an MP4 or MOV, to tell how long a run takes.

Nothing is decoded and no library of decoders is asked: this runs in the process that must not
crash, over all files of a run before it begins. What is said here is believed only for an ETA.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tempme.index.building.ahead import ahead
from tempme.index.building.scan import File
from tempme.index.building.suffixes import is_named_like_a_picture
from tempme.index.header import Cutting

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".qt", ".insv", ".360", ".lrv"})
# A file has a handful of boxes on top, unless it is damaged or fragmented.
MOST_BOXES = 64
LONGEST_SECONDS = 1e6


def windows_in(files: Sequence[File], *, frames: int, cutting: Cutting) -> dict[Path, float]:
    """How many windows the files will have, about, for those that say how long they are."""
    step = frames * cutting.every_seconds * (1 - cutting.overlap)
    lengths = {file.path: seconds for file, seconds in ahead(_with_length, files)}
    return {
        path: max(1.0, seconds / step) for path, seconds in lengths.items() if seconds is not None
    }


def seconds_of(path: Path) -> float | None:
    """What the header of the movie says; None where there is none, or nothing to be believed."""
    if is_named_like_a_picture(path):
        return 0.0
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            return _movie_seconds(file)
    except OSError:
        return None


def _with_length(file: File) -> tuple[File, float | None]:
    return file, seconds_of(file.path)


def _movie_seconds(file: IO[bytes]) -> float | None:
    end = os.fstat(file.fileno()).st_size
    for _ in range(MOST_BOXES):
        start = file.tell()
        head = file.read(16)
        if len(head) < 16:
            return None
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind == b"moov":
            file.seek(start + 8)
            return _header_seconds(file.read(4096))
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8 or start + size > end:
            return None
        file.seek(start + size)
    return None


def _header_seconds(movie: bytes) -> float | None:
    """The length in a movie header: version, flags, two times, time scale, duration."""
    place = movie.find(b"mvhd") + 4
    body = movie[place : place + 32]
    if place < 8 or len(body) < 32:
        return None
    first, width = (20, 8) if body[0] == 1 else (12, 4)
    scale = int.from_bytes(body[first : first + 4], "big")
    ticks = int.from_bytes(body[first + 4 : first + 4 + width], "big")
    is_unknown = not scale or not ticks or ticks == 2 ** (8 * width) - 1
    seconds = math.inf if is_unknown else ticks / scale
    return seconds if seconds < LONGEST_SECONDS else None
