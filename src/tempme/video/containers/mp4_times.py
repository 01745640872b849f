"""How much later than decoded each frame of an MP4 is shown: the part of its index FFmpeg keeps.

FFmpeg's index speaks of decoding times alone. The offsets to the times of showing stand in the
box `ctts` (ISO/IEC 14496-12, 8.6.1.3), run-length coded, so that a whole film takes a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.truncation import box_size

# Damage, not a film: a day at 1000 frames a second, and an index of a gigabyte.
MOST_FRAMES = 10**8
MOST_BYTES = 2**30
NO_EDIT = -1


def offsets_of_showing(path: Path, track: int) -> NDArray[np.int64] | None:
    """Ticks from decoding to showing of each frame of a track, in the order of decoding.

    They are right up to one number for all of them. None where this does not tell: in fragments,
    where an edit list does more than cut a start, and in files that are damaged.
    """
    with path.open("rb") as file:
        movie = _movie(file, path.stat().st_size)
    boxes = list(_boxes(movie))
    if any(name == b"mvex" for name, _ in boxes):
        return None
    for name, body in boxes:
        if name == b"trak" and _track_number(_inside(body, b"tkhd")) == track:
            return _offsets(body)
    return None


def _movie(file: IO[bytes], num_bytes: int) -> memoryview:
    """What is in the box `moov`; empty if it is not there."""
    place = 0
    while place + 8 <= num_bytes:
        file.seek(place)
        head = file.read(16)
        size = box_size(head)
        if size is None:
            break
        if head[4:8] == b"moov":
            file.seek(place + 8)
            return memoryview(file.read(min(size - 8, MOST_BYTES)))
        place += size
    return memoryview(b"")


def _boxes(body: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    place = 0
    while place + 8 <= len(body):
        size = box_size(bytes(body[place : place + 16]))
        if size is None:
            return
        yield bytes(body[place + 4 : place + 8]), body[place + 8 : place + size]
        place += size


def _inside(body: memoryview, *names: bytes) -> memoryview:
    """The box at a path of names; empty if it is not there."""
    for wanted in names:
        body = next((inner for name, inner in _boxes(body) if name == wanted), memoryview(b""))
    return body


def _track_number(header: memoryview) -> int:
    place = 20 if bytes(header[:1]) == b"\1" else 12
    return int.from_bytes(header[place : place + 4], "big")


def _offsets(track: memoryview) -> NDArray[np.int64] | None:
    table = _inside(track, b"mdia", b"minf", b"stbl")
    steps, offsets = _runs(_inside(table, b"stts")), _runs(_inside(table, b"ctts"))
    num_frames = int(steps[:, 0].sum())
    if not 0 < num_frames <= MOST_FRAMES or _num_edits(_inside(track, b"edts", b"elst")) > 1:
        return None
    if not len(offsets):
        return np.zeros(num_frames, dtype=np.int64)
    if (offsets[:, 0] < 0).any() or offsets[:, 0].sum() != num_frames:
        return None
    return np.repeat(offsets[:, 1], offsets[:, 0])


def _runs(table: memoryview) -> NDArray[np.int64]:
    """Rows of (how many frames, value)."""
    numbers = np.frombuffer(table[8 : 8 + (len(table) - 8) // 8 * 8], dtype=">i4")
    count = int.from_bytes(table[4:8], "big")
    return numbers.astype(np.int64).reshape(-1, 2)[:count]


def _num_edits(edits: memoryview) -> int:
    """How many parts of the track an edit list shows, gaps not counted."""
    is_long = bytes(edits[:1]) == b"\1"
    kind = (
        [("duration", ">i8"), ("start", ">i8")]
        if is_long
        else [("duration", ">i4"), ("start", ">i4")]
    )
    row = np.dtype([*kind, ("rate", ">i4")])
    rows = np.frombuffer(edits[8 : 8 + max(0, len(edits) - 8) // row.itemsize * row.itemsize], row)
    return int((rows["start"] != NO_EDIT).sum())
