"""When a video's frames are shown and where decoding can start, without decoding anything."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.clock import Clock
from tempme.video.containers.following import following
from tempme.video.containers.joining import clock_of, has_lead
from tempme.video.containers.packets import Packets, read_packets
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.truncation import Ending, truncation
from tempme.video.values import AS_USUAL, Reading, Unreadable

# Containers that keep no time of showing: with reordered frames only their order can be trusted.
UNTIMED = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1"})
# Of these, the ones that hold one stream and no clock: what they call their start is no time.
CLOCKLESS = UNTIMED - {"avi"}
LONGEST_TICK = 60
# No last frame stays longer, in seconds, whatever the file says of its end.
LONGEST_STILL = 3600
# Containers that find a keyframe without reading what lies before it: by its time of decoding, by
# its time of showing. Others search (transport streams) or have seldom an index (AVI).
SEEK_BY_DECODING = frozenset({"mov"})
SEEK_BY_SHOWING = frozenset({"matroska"})
# Codecs whose packets after the first need those before, whatever the container marks as keys.
NEVER_SKIP = frozenset({"gif", "apng", "flic", "qtrle", "rawvideo"})
# So much of the frames may be without use before it is worth a word: leading frames of open groups.
UNUSED_SECONDS = 0.5


@dataclass(frozen=True)
class Timeline:
    """Times in ticks of `time_base`; second 0 is a player's, at `origin`.

    It is where the earliest stream of the file starts: the first frame may be shown later. `keys`
    are the frames at which decoding can start, `shown_keys` those of them that are shown (an edit
    list can hide one), `shown` all frames shown. `seek_to` holds for each of `keys` the time by
    which the container finds it; it is empty where the file has to be read on. `is_by_order` says
    that the time on a decoded frame is worthless: the n-th one to come out is the n-th of `shown`.
    `sizes` are the bytes of each of `shown`; empty where it is not certain which are whose.
    `clock` makes one line of the times in the file; all others here are on that line. `stream` is
    the number of the stream.
    """

    time_base: Fraction
    origin: int
    end: int
    keys: Sequence[int]
    shown_keys: Sequence[int]
    shown: Sequence[int]
    seek_to: Sequence[int]
    is_by_order: bool
    note: str
    clock: Clock
    stream: int
    sizes: Sequence[int]

    @property
    def duration_seconds(self) -> float:
        """From a player's second 0 to the end of the last frame."""
        return self.seconds(self.end)

    @property
    def start_seconds(self) -> float:
        """When the first frame is shown."""
        return self.seconds(self.shown[0])

    def seconds(self, ticks: int) -> float:
        """Ticks as seconds of a player."""
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


def read_timeline(path: Path, deadline: Deadline, reading: Reading = AS_USUAL) -> Timeline:
    """The times of all frames: from the container's index if it has them, or by reading."""
    with Source(path, reading) as source:
        packets = read_packets(source, deadline)
        if not len(packets):
            raise Unreadable("no frame: the file holds none, or is cut before the first")
        if len(packets) == 1 and source.is_of_pictures:
            raise Unreadable("a picture, not a video: it holds a single frame")
        return _timeline(source, packets, deadline)


def _timeline(source: Source, packets: Packets, deadline: Deadline) -> Timeline:
    base = source.stream.time_base or Fraction(1, 1000)
    if base > LONGEST_TICK:
        raise Unreadable("damaged: its times make no sense")
    by_order = bool(source.formats & UNTIMED) and (packets.are_reordered or not packets.are_timed)
    raw = packets.times(by_order=by_order, step=source.frame_ticks)
    clock = Clock() if by_order else clock_of(source, packets, raw)
    times = clock.applied(raw)
    is_hidden = np.zeros(len(times), dtype=bool)
    is_hidden[np.frombuffer(packets.hidden, dtype=np.int64)] = True
    keys = np.unique(times[np.frombuffer(packets.keys, dtype=np.int64)])
    keys = keys if len(keys) else times.min(keepdims=True)
    shown = np.unique(times[~is_hidden & (times >= keys[0])])
    shown = shown if len(shown) else keys[:1]
    hidden = times[is_hidden]
    if by_order or not packets.are_timed or source.codec_name in NEVER_SKIP:
        keys = keys[:1]
    origin = _origin(source, shown)
    gap = int(np.median(np.diff(shown))) if len(shown) > 1 else source.frame_ticks
    end = int(shown[-1]) + gap
    lead = float((int(shown[0]) - origin) * base)
    ending = Ending(lead, float((end - origin) * base), times, bool(clock.shifts))
    rest = following(source.path, packets.last, packets.end)
    cut = "" if rest else truncation(source, packets, ending, deadline)
    stated = (int(shown[0]) if source.lists_every_frame else origin) + (source.stream.duration or 0)
    if not (cut or rest or clock.shifts) and 0 < stated - shown[-1] <= LONGEST_STILL / base:
        end = stated
    num_unused = int((~is_hidden).sum()) - len(shown)
    notes = cut, rest, _unused(num_unused, gap * base), source.left_out
    sizes = np.frombuffer(packets.sizes, dtype=np.int64)
    is_shown_key = (keys >= shown[0]) & (keys <= shown[-1]) & ~np.isin(keys, hidden)
    return Timeline(
        time_base=base,
        origin=origin,
        end=end,
        keys=_longs(keys),
        shown_keys=_longs(keys[is_shown_key]),
        shown=_longs(shown),
        seek_to=_seek_to(source, times, packets, keys) if not clock.shifts else (),
        is_by_order=by_order,
        note="; ".join(filter(None, notes)),
        clock=clock,
        stream=source.stream.index,
        sizes=() if by_order else _sizes(shown, times[~is_hidden], sizes[~is_hidden]),
    )


def _longs(values: NDArray[np.int64]) -> array[int]:
    """As plain numbers that take eight bytes each."""
    return array("q", values.tobytes())


def _sizes(
    shown: NDArray[np.int64], times: NDArray[np.int64], sizes: NDArray[np.int64]
) -> array[int]:
    """The bytes of each frame shown: of all packets that have its time."""
    is_of_one = np.isin(times, shown)
    summed = np.zeros(len(shown), dtype=np.int64)
    np.add.at(summed, np.searchsorted(shown, times[is_of_one]), sizes[is_of_one])
    return _longs(summed)


def _origin(source: Source, shown: NDArray[np.int64]) -> int:
    """Where a player's second 0 is: never after the first frame."""
    first, start = int(shown[0]), source.start_ticks
    if start is None or start >= first or source.formats & CLOCKLESS:
        return first
    return start if has_lead(source, start, shown) else first


def _unused(num_frames: int, step_seconds: Fraction) -> str:
    if num_frames * step_seconds <= UNUSED_SECONDS:
        return ""
    return f"{num_frames} frames not used: no keyframe before them, or shown at another's time"


def _seek_to(
    source: Source, times: NDArray[np.int64], packets: Packets, keys: Iterable[int]
) -> Sequence[int]:
    """By which times the container finds the keyframes; none where it does not."""
    if source.formats & SEEK_BY_SHOWING:
        return array("q", keys)
    if source.formats & SEEK_BY_DECODING:
        decoding = packets.decoding()
        places = {int(times[place]): int(decoding[place]) for place in packets.keys}
        return array("q", (places.get(int(key), int(key)) for key in keys))
    return ()
