"""Whether a file is shorter than it says itself, read off its frame of bytes without a demuxer.

FFmpeg lowers the stated duration of a cut AVI to what is there, and a transport stream states
none. How long the outermost parts should be stands in the file all the same.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import IO

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
SYNC = 0x47
# Bytes before the sync byte, and of a packet: plain, on Blu-ray, with error correction.
TS_PACKETS = ((0, 188), (4, 192), (0, 204))
BOX_NAME = frozenset((string.ascii_letters + string.digits + " _-").encode())


def is_cut(path: Path) -> bool:
    """Whether the file ends before its outermost part does; False where that part says nothing."""
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if head.startswith(EBML):
            return _end_of_segment(head) > num_bytes
        if head.startswith(b"RIFF"):
            return _end_of_parts(file, num_bytes, _riff) > num_bytes
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _end_of_parts(file, num_bytes, box_size) > num_bytes
    return any(num_bytes % size for size in _packet_sizes(head))


def _end_of_parts(file: IO[bytes], num_bytes: int, size_of: Callable[[bytes], int | None]) -> int:
    """Where the last of the parts that follow each other ends, or the place of one unknown."""
    place = 0
    while place + 8 <= num_bytes:
        file.seek(place)
        size = size_of(file.read(16))
        if size is None:
            return place
        place += size
    return place


def _riff(head: bytes) -> int | None:
    """The size of a RIFF part; a writer that was stopped leaves zero or the largest number."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if head.startswith(b"RIFF") and 0 < size < 2**32 - 9 else None


def box_size(head: bytes) -> int | None:
    """The size of an MP4 box; None for rubbish, and for a box that goes on to the file's end."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return size if size >= 8 and BOX_NAME.issuperset(head[4:8]) else None


def _end_of_segment(head: bytes) -> int:
    """Where a Matroska segment ends; 0 for one that was written without knowing."""
    place = head.find(SEGMENT) + len(SEGMENT)
    if place < len(SEGMENT) or place >= len(head) or not head[place]:
        return 0
    width = 9 - head[place].bit_length()
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[place : place + width], "big") & unknown
    return 0 if size == unknown else place + width + size


def _packet_sizes(head: bytes) -> list[int]:
    """The size of a transport stream's packets, if the file is one."""
    return [
        size
        for before, size in TS_PACKETS
        if len(head) > 4 * size and all(head[before + i * size] == SYNC for i in range(5))
    ]
