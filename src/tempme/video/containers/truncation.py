"""Whether a file is shorter than it says itself, read off its frame of bytes without a demuxer.

FFmpeg lowers the stated duration of a cut AVI to what is there, and a transport stream states
none: `transport.py` looks at its end. How long the outermost parts should be stands in the file
all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.clock import MOST_REORDERED
from tempme.video.containers.endings import is_cut
from tempme.video.containers.packets import Packets
from tempme.video.containers.source import STATING, Deadline, Source
from tempme.video.containers.streams import READING_ERRORS
from tempme.video.containers.transport import End, end_of

# Steps between frames are even up to this: film shown as television goes by two and three fields.
UNEVEN = 1.6
# Streams without a container: only a decoder can tell that the last frame is not all there.
BARE = frozenset({"h261", "h263", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1", "vvc"})
# Of each frame of a YUV4MPEG2 file.
Y4M_FRAME = b"FRAME"


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
    if "mpegts" in source.formats:
        end = end_of(source.path)
        is_full = end is End.FULL and not decodes_to_the_end(source, deadline)
        is_cut_off = end is End.CUT or is_full or has_hole(packets, ending.times)
    elif source.formats & BARE:
        is_cut_off = not decodes_to_the_end(source, deadline)
    else:
        is_cut_off = "yuv4mpegpipe" in source.formats and _has_begun_another(source, packets)
    return _said(ending) if is_cut_off else ""


def _said(ending: Ending) -> str:
    return f"truncated after {ending.end_seconds:.1f} s: used what was there"


def _is_shorter_than_stated(source: Source, packets: Packets, ending: Ending) -> bool:
    # What FFmpeg reckons from the times in a file means nothing where these start again.
    is_reckoned = ending.is_chained and not source.formats & STATING
    declared = 0.0 if is_reckoned else _declared_seconds(source)
    seconds = ending.end_seconds
    # An MP4 says how long a stream is, others where it ends, be second 0 there or at its start.
    start = (source.container.start_time or 0) / av.time_base
    is_length = source.lists_every_frame
    measured = seconds - ending.start_seconds if is_length else seconds + max(0.0, start)
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


def _has_begun_another(source: Source, packets: Packets) -> bool:
    """Whether a frame begins behind the last one that is there."""
    with source.path.open("rb") as file:
        file.seek(packets.end)
        rest = file.read(len(Y4M_FRAME))
    return bool(rest) and Y4M_FRAME.startswith(rest)


def _declared_seconds(source: Source) -> float:
    stream = source.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if source.container.duration is not None and not source.container.streams.audio:
        return source.container.duration / av.time_base
    return 0.0
