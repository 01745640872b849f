"""What a file claims to hold, read off its head before a demuxer makes room for it.

FFmpeg's index of an MP4 gets an entry for each frame that the tables speak of before one is read,
and a GIF its whole canvas: a file of a few hundred bytes can claim as much as it likes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from tempme.video.containers.boxes import inside, named, outermost
from tempme.video.values import Reading, Unreadable

MP4_STARTS = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip"})
# Flags of a run in a fragment by which each of its samples costs some bytes.
COSTING = 0x100 | 0x200 | 0x400 | 0x800


def check_claims(path: Path, reading: Reading) -> None:
    """Raise `Unreadable` where a file claims more than is believed."""
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(b"GIF8"):
            width, height = struct.unpack("<HH", head[6:10].ljust(4, b"\0"))
            check_size(width, height, reading)
        claimed = _frames(file, path.stat().st_size) if head[4:8] in MP4_STARTS else 0
    if claimed > reading.max_frames:
        most = f"the limit is max_frames = {reading.max_frames}"
        raise Unreadable(f"the file claims {claimed} frames: {most}")


def check_size(width: int, height: int, reading: Reading) -> None:
    """Raise `Unreadable` where frames are larger than is held."""
    if width * height > reading.max_pixels:
        most = f"the limit is max_pixels = {reading.max_pixels}"
        raise Unreadable(f"frames of {width} x {height} are too large: {most}")


def _frames(file: IO[bytes], num_bytes: int) -> int:
    """The most frames of a track, those of all fragments added up."""
    claimed, in_runs = 0, 0
    for name, body in outermost(file, num_bytes, wanted=(b"moov", b"moof")):
        if name == b"moof":
            runs = (run for part in named(body, b"traf") for run in named(part, b"trun"))
            in_runs += sum(_samples_of(run) for run in runs)
        else:
            tables = (inside(track, b"mdia", b"minf", b"stbl") for track in named(body, b"trak"))
            claimed = max(claimed, *(_samples_in(table) for table in tables), 0)
    return claimed + in_runs


def _samples_in(table: memoryview) -> int:
    """How many samples the table of their sizes speaks of."""
    sizes = (inside(table, name)[8:12] for name in (b"stsz", b"stz2"))
    return max(int.from_bytes(size, "big") for size in sizes)


def _samples_of(run: memoryview) -> int:
    """How many samples a run has that cost it no bytes."""
    costs = int.from_bytes(run[1:4], "big") & COSTING
    return 0 if costs else int.from_bytes(run[4:8], "big")
