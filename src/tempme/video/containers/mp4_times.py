"""How much later than decoded each frame of an MP4 is shown: the part of its index FFmpeg keeps.

FFmpeg's index speaks of decoding times alone. The offsets to the times of showing stand in the
box `ctts` (ISO/IEC 14496-12, 8.6.1.3), run-length coded, so that a whole film takes a moment.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.boxes import inside, named, outermost

# Damage, not a film: a day at 1000 frames a second.
MOST_FRAMES = 10**8
NO_EDIT = -1


def offsets_of_showing(path: Path, track: int) -> NDArray[np.int64] | None:
    """Ticks from decoding to showing of each frame of a track, in the order of decoding.

    They are right up to one number for all of them. None where this does not tell: in fragments,
    where an edit list does more than cut a start, and in files that are damaged.
    """
    with path.open("rb") as file:
        movies = outermost(file, path.stat().st_size, wanted=(b"moov",))
        _, movie = next(movies, (b"", memoryview(b"")))
    if next(named(movie, b"mvex"), None) is not None:
        return None
    for body in named(movie, b"trak"):
        if _track_number(inside(body, b"tkhd")) == track:
            return _offsets(body)
    return None


def _track_number(header: memoryview) -> int:
    place = 20 if bytes(header[:1]) == b"\1" else 12
    return int.from_bytes(header[place : place + 4], "big")


def _offsets(track: memoryview) -> NDArray[np.int64] | None:
    table = inside(track, b"mdia", b"minf", b"stbl")
    steps, offsets = _runs(inside(table, b"stts")), _runs(inside(table, b"ctts"))
    num_frames = int(steps[:, 0].sum())
    if not 0 < num_frames <= MOST_FRAMES or _num_edits(inside(track, b"edts", b"elst")) > 1:
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
