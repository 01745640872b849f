"""What all packets of a video stream say of their times, read without decoding anything."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import islice

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.mp4_times import offsets_of_showing
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.streams import READING_ERRORS
from tempme.video.values import Unreadable

# Stands for a time that is not said.
UNSAID = -(2**63)
# So many packets read are progress, when nothing is decoded yet.
PACKETS_A_STEP = 1000


def _longs() -> array[int]:
    return array("q")


@dataclass
class Packets:
    """Times (ticks, in file order) and sizes (bytes) of the packets that hold something.

    `keys` and `hidden` are the numbers of those that can be decoded alone and of those that an
    edit list hides, `lost` of those near which the file lacks something; `last` is the byte at
    which the last one begins, `end` the one after it, 0 where they were not read.
    """

    pts: array[int] = field(default_factory=_longs)
    dts: array[int] = field(default_factory=_longs)
    sizes: array[int] = field(default_factory=_longs)
    keys: array[int] = field(default_factory=_longs)
    hidden: array[int] = field(default_factory=_longs)
    lost: array[int] = field(default_factory=_longs)
    is_broken: bool = False
    last: int = 0
    end: int = 0

    def __len__(self) -> int:
        return len(self.pts)

    def add(self, packet: av.Packet[av.VideoStream]) -> None:
        """Note one more packet."""
        place = len(self.pts)
        self.pts.append(UNSAID if packet.pts is None else packet.pts)
        self.dts.append(UNSAID if packet.dts is None else packet.dts)
        self.sizes.append(packet.size)
        if packet.is_keyframe:
            self.keys.append(place)
        if packet.is_discard:
            self.hidden.append(place)
        if packet.is_corrupt:
            self.lost.append(place)
        if packet.pos is not None:
            self.last, self.end = packet.pos, packet.pos + packet.size

    @property
    def is_last_whole(self) -> bool:
        """Whether nothing of the last packet is missing."""
        return not self.lost or self.lost[-1] != len(self) - 1

    @property
    def are_timed(self) -> bool:
        """Whether each says when it is shown."""
        return UNSAID not in self.pts

    @property
    def are_reordered(self) -> bool:
        """Whether the order of decoding and that of showing differ."""
        pts, dts = self.pts_said, self.dts_said
        return bool(((pts != dts) & (pts != UNSAID) & (dts != UNSAID)).any())

    @property
    def pts_said(self) -> NDArray[np.int64]:
        """The times of showing, `UNSAID` among them."""
        return np.frombuffer(self.pts, dtype=np.int64)

    @property
    def dts_said(self) -> NDArray[np.int64]:
        """The times of decoding, `UNSAID` among them."""
        return np.frombuffer(self.dts, dtype=np.int64)

    def times(self, *, by_order: bool, step: int) -> NDArray[np.int64]:
        """When each is shown; where the file does not say, one step after the one before."""
        dts = self.dts_said
        known = np.where(by_order | (self.pts_said == UNSAID), dts, self.pts_said)
        for place in np.flatnonzero(known == UNSAID).tolist():
            known[place] = known[place - 1] + step if place else 0
        return known

    def decoding(self) -> NDArray[np.int64]:
        """When each is decoded, as far as is said: never said is as the one before."""
        dts = self.dts_said.copy()
        said = np.flatnonzero(dts != UNSAID)
        if not len(said):
            return np.zeros(len(dts), dtype=np.int64)
        last = np.maximum.accumulate(np.where(dts != UNSAID, np.arange(len(dts)), said[0]))
        return dts[last]


def read_packets(source: Source, deadline: Deadline) -> Packets:
    """From the container's index if it has them all, or by reading."""
    packets = _from_index(source)
    if packets is None:
        packets = Packets()
        packets.is_broken = _read(source, packets, deadline)
    return packets


def has_frames(source: Source, count: int) -> bool:
    """Whether there are so many frames; reads no more than these."""
    try:
        held = (packet for packet in source.container.demux(source.stream) if packet.size)
        return len(list(islice(held, count))) == count
    except READING_ERRORS:
        return False


def _from_index(source: Source) -> Packets | None:
    """What reading would tell, without reading; None where the index does not tell all of it."""
    if not source.lists_every_frame:
        return None
    entries = source.stream.index_entries
    offsets = offsets_of_showing(source.path, source.stream.id)
    num_bytes = source.num_bytes
    if offsets is None or len(offsets) != len(entries):
        return None
    found = Packets()
    for place, entry in enumerate(entries):
        if entry.size <= 0 or entry.pos + entry.size > num_bytes:
            return None
        found.dts.append(entry.timestamp)
        found.sizes.append(entry.size)
        if entry.is_keyframe:
            found.keys.append(place)
        if entry.is_discard:
            found.hidden.append(place)
    first = _first_packet(source)
    if first is None or first.pts is None or first.dts != found.dts[0]:
        source.reopen()
        return None
    pts = found.dts_said + offsets + (first.pts - found.dts[0] - int(offsets[0]))
    found.pts = array("q", pts.astype(np.int64).tobytes())
    return found


def _first_packet(source: Source) -> av.Packet[av.VideoStream] | None:
    try:
        return next(source.container.demux(source.stream), None)
    except READING_ERRORS:
        return None


def _read(source: Source, packets: Packets, deadline: Deadline) -> bool:
    """Fill `packets`; True if reading ended in an error instead of at the end."""
    most = source.reading.max_frames
    try:
        for packet in source.container.demux(source.stream):
            deadline.check()
            if packet.size:
                packets.add(packet)
            if len(packets) % PACKETS_A_STEP == 0:
                deadline.restart()
            if len(packets) > most:
                raise Unreadable(f"more than {most} frames: the limit is max_frames = {most}")
    except READING_ERRORS:
        return True
    return False
