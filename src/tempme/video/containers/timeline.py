"""When a video's frames are shown and where decoding can start, without decoding anything."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from tempme.video.containers.mp4_times import offsets_of_showing
from tempme.video.containers.source import READING_ERRORS, Deadline, Source
from tempme.video.containers.truncation import is_cut
from tempme.video.values import Unreadable

# Containers that keep no time of showing: with reordered frames only their order can be trusted.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1"})
# No frame stays longer, in seconds: times further apart are damage, not a very slow video.
LONGEST_STILL = 3600
LONGEST_TICK = 60
# Containers that find a keyframe without reading what lies before it: by its time of decoding, by
# its time of showing. Others search (transport streams) or have seldom an index (AVI).
SEEK_BY_DECODING = frozenset({"mov"})
SEEK_BY_SHOWING = frozenset({"matroska"})
# So many packets read are progress, when nothing is decoded yet.
PACKETS_A_STEP = 1000
# Codecs whose packets after the first need those before, whatever the container marks as keys.
NEVER_SKIP = frozenset({"gif", "apng", "flic", "qtrle", "rawvideo"})


@dataclass(frozen=True)
class Timeline:
    """Times in ticks of `time_base`; second 0 is the first frame shown, at `origin`.

    `keys` are the frames at which decoding can start, `shown_keys` those of them that are shown
    (an edit list can hide one), `shown` all frames shown. `seek_to` holds for each of `keys` the
    time by which the container finds it; it is empty where the file has to be read on.
    `is_by_order` says that the time on a decoded frame is worthless: the n-th one to come out is
    the n-th of `shown`.
    """

    time_base: Fraction
    origin: int
    end: int
    keys: tuple[int, ...]
    shown_keys: tuple[int, ...]
    shown: tuple[int, ...]
    seek_to: tuple[int, ...]
    is_by_order: bool
    note: str

    @property
    def duration_seconds(self) -> float:
        """From the first frame shown to the end of the last."""
        return self.seconds(self.end)

    def seconds(self, ticks: int) -> float:
        """Ticks as seconds from the first frame shown."""
        return float((ticks - self.origin) * self.time_base)

    def ticks(self, seconds: float) -> int:
        """The last tick that has begun by then; what a float rounds away is given back."""
        return self.origin + math.floor(seconds / float(self.time_base) + 1e-3)

    def shown_at(self, seconds: float) -> int:
        """The time of the frame shown then, in ticks."""
        return self.frame_at(self.ticks(seconds))

    def frame_at(self, ticks: int) -> int:
        """The time of the frame shown at this time; of the first before it, of the last after."""
        return self.shown[max(0, bisect_right(self.shown, ticks) - 1)]

    def num_shown(self, start: int | None, end: int) -> int:
        """How many frames are shown from one time (None: the start) until before another."""
        first = 0 if start is None else bisect_left(self.shown, start)
        return bisect_left(self.shown, end) - first

    def start_for(self, ticks: int) -> int:
        """Which of `keys` decoding starts at to reach this time, as its place in `keys`."""
        return max(0, bisect_right(self.keys, ticks) - 1)


@dataclass
class _Packets:
    """What has been seen of the packets that hold something."""

    pts: list[int | None]
    dts: list[int | None]
    keys: list[int]
    hidden: list[int]
    is_last_whole: bool = True

    def add(self, packet: av.Packet[av.VideoStream]) -> None:
        place = len(self.pts)
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        if packet.is_keyframe:
            self.keys.append(place)
        if packet.is_discard:
            self.hidden.append(place)
        self.is_last_whole = not packet.is_corrupt

    @property
    def are_timed(self) -> bool:
        return None not in self.pts

    @property
    def are_reordered(self) -> bool:
        pairs = zip(self.pts, self.dts, strict=True)
        return any(p != d for p, d in pairs if p is not None and d is not None)

    def times(self, *, by_order: bool, step: int) -> list[int]:
        """When each is shown; where the file does not say, one step after the one before."""
        known = self.dts if by_order else self.pts
        times: list[int] = []
        for time, other in zip(known, self.dts, strict=True):
            last = times[-1] if times else -step
            times.append(next((t for t in (time, other) if t is not None), last + step))
        return times


def read_timeline(path: Path, deadline: Deadline) -> Timeline:
    """The times of all frames: from the container's index if it has them, or by reading."""
    with Source(path) as source:
        packets, is_broken = _from_index(source), False
        if packets is None:
            packets = _Packets([], [], [], [])
            is_broken = _read(source, packets, deadline)
        if not packets.pts:
            raise Unreadable("no frame: the file holds none, or is cut before the first")
        return _timeline(source, packets, is_broken=is_broken)


def _from_index(source: Source) -> _Packets | None:
    """What reading would tell, without reading; None where the index does not tell all of it."""
    if not source.lists_every_frame:
        return None
    entries = list(source.stream.index_entries)
    offsets = offsets_of_showing(source.path, source.stream.id)
    num_bytes = source.path.stat().st_size
    if offsets is None or len(offsets) != len(entries):
        return None
    if any(entry.size <= 0 or entry.pos + entry.size > num_bytes for entry in entries):
        return None
    first = _first_packet(source)
    dts = [entry.timestamp for entry in entries]
    if first is None or first.pts is None or first.dts != dts[0]:
        source.reopen()
        return None
    pts = np.array(dts) + offsets + (first.pts - dts[0] - int(offsets[0]))
    return _Packets(
        pts=pts.tolist(),
        dts=list(dts),
        keys=[place for place, entry in enumerate(entries) if entry.is_keyframe],
        hidden=[place for place, entry in enumerate(entries) if entry.is_discard],
    )


def _first_packet(source: Source) -> av.Packet[av.VideoStream] | None:
    try:
        return next(source.container.demux(source.stream), None)
    except READING_ERRORS:
        return None


def _read(source: Source, packets: _Packets, deadline: Deadline) -> bool:
    """Fill `packets`; True if reading ended in an error instead of at the end."""
    try:
        for packet in source.container.demux(source.stream):
            deadline.check()
            if packet.size:
                packets.add(packet)
            if len(packets.pts) % PACKETS_A_STEP == 0:
                deadline.restart()
    except READING_ERRORS:
        return True
    return False


def _timeline(source: Source, packets: _Packets, *, is_broken: bool) -> Timeline:
    base = source.stream.time_base or Fraction(1, 1000)
    if base > LONGEST_TICK:
        raise Unreadable("damaged: its times make no sense")
    by_order = bool(source.formats & UNTIMED) and (packets.are_reordered or not packets.are_timed)
    times = packets.times(by_order=by_order, step=source.frame_ticks)
    hidden = {times[i] for i in packets.hidden}
    keys = sorted({times[i] for i in packets.keys}) or [min(times)]
    shown = sorted({t for t in times if t not in hidden and t >= keys[0]}) or keys[:1]
    shown = _longest_run(shown, longest=round(LONGEST_STILL / base))
    if by_order or not packets.are_timed or source.codec_name in NEVER_SKIP:
        keys = keys[:1]
    seek_to = _seek_to(source, times, packets, keys)
    origin = shown[0]
    end = shown[-1] + _typical_gap(source, shown)
    note = _truncation(
        source,
        float((end - origin) * base),
        num_packets=len(packets.pts),
        is_broken=is_broken,
        is_cut=not packets.is_last_whole or is_cut(source.path),
    )
    stated = origin + (source.stream.duration or 0)
    if not note and 0 < stated - shown[-1] <= LONGEST_STILL / base:
        end = stated
    return Timeline(
        time_base=base,
        origin=origin,
        end=end,
        keys=tuple(keys),
        shown_keys=tuple(k for k in keys if origin <= k <= shown[-1] and k not in hidden),
        shown=tuple(shown),
        seek_to=seek_to,
        is_by_order=by_order,
        note=note,
    )


def _seek_to(
    source: Source, times: Sequence[int], packets: _Packets, keys: Sequence[int]
) -> tuple[int, ...]:
    """By which times the container finds the keyframes; none where it does not."""
    if source.formats & SEEK_BY_SHOWING:
        return tuple(keys)
    if source.formats & SEEK_BY_DECODING:
        decoded = {t: t if d is None else d for t, d in zip(times, packets.dts, strict=True)}
        return tuple(decoded[key] for key in keys)
    return ()


def _longest_run(shown: list[int], *, longest: int) -> list[int]:
    """The most frames in a row without an impossible jump between two."""
    jumps = [i for i, (a, b) in enumerate(pairwise(shown), start=1) if b - a > longest]
    bounds = pairwise([0, *jumps, len(shown)])
    return max((shown[a:b] for a, b in bounds), key=len)


def _typical_gap(source: Source, shown: list[int]) -> int:
    """How long the last frame stays: as long as frames do, for packets seldom say."""
    if len(shown) > 1:
        gaps = sorted(b - a for a, b in pairwise(shown))
        return gaps[len(gaps) // 2]
    return source.frame_ticks


def _truncation(
    source: Source, seconds: float, *, num_packets: int, is_broken: bool, is_cut: bool
) -> str:
    declared = _declared_seconds(source)
    is_short = declared - seconds > max(0.5, 0.1 * declared)
    if source.lists_every_frame:
        is_short = is_short or len(source.stream.index_entries) > num_packets
    is_broken = is_broken and not 0 < declared <= seconds + 0.1
    if is_short or is_broken or is_cut:
        return f"truncated after {seconds:.1f} s: used what was there"
    return ""


def _declared_seconds(source: Source) -> float:
    stream = source.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if source.container.duration is not None and not source.container.streams.audio:
        return source.container.duration / av.time_base
    return 0.0
