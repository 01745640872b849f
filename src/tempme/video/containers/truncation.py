"""Whether a file is shorter than it says itself, read off its frame of bytes without a demuxer.

FFmpeg lowers the stated duration of a cut AVI to what is there, and a transport stream states
none: `transport.py` looks at its end. How long the outermost parts should be stands in the file
all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.boxes import box_size
from tempme.video.containers.clock import MOST_REORDERED
from tempme.video.containers.endings import (
    ASF,
    GIF,
    PACK,
    asf_size,
    is_gif_cut,
    is_program_cut,
)
from tempme.video.containers.packets import Packets
from tempme.video.containers.source import STATING, Deadline, Source
from tempme.video.containers.streams import READING_ERRORS
from tempme.video.containers.transport import End, end_of, layout_of

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
# Steps between frames are even up to this: film shown as television goes by two and three fields.
UNEVEN = 1.6


@dataclass(frozen=True)
class Ending:
    """Where the video begins and ends in seconds, and the times of its packets in file order."""

    start_seconds: float
    end_seconds: float
    times: NDArray[np.int64]
    is_chained: bool


def truncation(source: Source, packets: Packets, ending: Ending, deadline: Deadline) -> str:
    """What a note says of a file that ends before its time."""
    is_short = _is_shorter_than_stated(source, packets, ending)
    if is_short or not packets.is_last_whole or is_cut(source.path):
        return _said(ending)
    if "mpegts" not in source.formats:
        return ""
    end = end_of(source.path)
    is_full = end is End.FULL and not decodes_to_the_end(source, deadline)
    is_cut_off = end is End.CUT or is_full or has_hole(packets, ending.times)
    return _said(ending) if is_cut_off else ""


def _said(ending: Ending) -> str:
    return f"truncated after {ending.end_seconds:.1f} s: used what was there"


def _is_shorter_than_stated(source: Source, packets: Packets, ending: Ending) -> bool:
    # What FFmpeg reckons from the times in a file means nothing where these start again.
    is_reckoned = ending.is_chained and not source.formats & STATING
    declared = 0.0 if is_reckoned else _declared_seconds(source)
    seconds = ending.end_seconds
    # An MP4 says how long a stream is, others where it ends.
    measured = seconds - ending.start_seconds if source.lists_every_frame else seconds
    if source.lists_every_frame and len(source.stream.index_entries) > len(packets):
        return True
    if packets.is_broken and not 0 < declared <= measured + 0.1:
        return True
    return declared - measured > max(0.5, 0.1 * declared)


def has_hole(packets: Packets, times: NDArray[np.int64]) -> bool:
    """Whether frames are missing before the last: those that are decoded after it.

    Only where the frames are reordered and come at an even pace everywhere else.
    """
    steps = np.diff(np.unique(times))
    if not packets.are_reordered or len(steps) < 2 * MOST_REORDERED:
        return False
    longest = UNEVEN * np.median(steps)
    return bool(
        (steps[-MOST_REORDERED:] > longest).any() and (steps[:-MOST_REORDERED] <= longest).all()
    )


def decodes_to_the_end(source: Source, deadline: Deadline) -> bool:
    """Whether nothing is missing in what depends on the last keyframe; reads the file again."""
    group: list[av.Packet[av.VideoStream]] = []
    source.reopen()
    context = source.stream.codec_context
    context.options = {**context.options, "err_detect": "explode"}
    try:
        for packet in source.container.demux(source.stream):
            deadline.check()
            group = [] if packet.is_keyframe else group
            group.append(packet)
        frames = [frame for packet in group for frame in packet.decode()]
    except READING_ERRORS:
        return False
    return not any(frame.is_corrupt for frame in frames)


def _declared_seconds(source: Source) -> float:
    stream = source.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if source.container.duration is not None and not source.container.streams.audio:
        return source.container.duration / av.time_base
    return 0.0


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
        if (ends := _ends_early(file, head, num_bytes)) is not None:
            return ends
    layout = layout_of(head)
    return layout is not None and num_bytes % layout[1] != 0


def _ends_early(file: IO[bytes], head: bytes, num_bytes: int) -> bool | None:
    """The same of a file whose outermost parts do not lie side by side; None if it is no such."""
    if head.startswith(ASF):
        return num_bytes < asf_size(file)
    if head.startswith(PACK):
        return is_program_cut(file, num_bytes)
    return is_gif_cut(file, num_bytes) if head.startswith(GIF) else None


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


def _end_of_segment(head: bytes) -> int:
    """Where a Matroska segment ends; 0 for one that was written without knowing."""
    place = head.find(SEGMENT) + len(SEGMENT)
    if place < len(SEGMENT) or place >= len(head) or not head[place]:
        return 0
    width = 9 - head[place].bit_length()
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[place : place + width], "big") & unknown
    return 0 if size == unknown else place + width + size
