"""Decoding the frames shown at given times, and as little else as possible.

The file is gone through forward once. Frames depend on each other only within a group of pictures,
from one keyframe to the next, so a group in which no time falls is passed over without being
decoded: its packets are read and dropped, a seek that cannot land in the wrong place and needs no
index. Where many would be dropped the container is asked for the keyframe, if it can find any; if
it comes up with another one, the file is read from its start. Within a group decoding goes on
until the first frame later than the last wanted time has come out, because only then is it known
which frame is shown; a time that is exactly a frame's is answered by that frame. Frames that no
other leans on (most B-frames) and that are not wanted are skipped where the decoder can do that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

import av

from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.streams import READING_ERRORS
from tempme.video.containers.timeline import Timeline

# Decoders that can be told, packet by packet, to skip a frame that no other leans on.
CAN_SKIP_LEAVES = frozenset({"h264", "hevc", "mpeg4", "mpeg2video"})

# Packets from which on a seek is cheaper than reading them: `benchmarks/decode.py` has figures.
SEEK_FROM = 50

Shown: TypeAlias = tuple[int, av.VideoFrame]


class Decoder:
    """One pass over one open file."""

    def __init__(self, source: Source, timeline: Timeline, deadline: Deadline) -> None:
        self.num_damaged = 0
        self._source = source
        self._timeline = timeline
        self._deadline = deadline
        self._context = source.stream.codec_context
        self._packets = self._demux()
        self._ready: deque[Shown] = deque()
        self._shown: Shown | None = None
        self._newest_key: int | None = None
        self._may_seek = bool(timeline.seek_to)
        self._floor = timeline.keys[0]
        self._num_out = 0
        self._wanted: frozenset[int] = frozenset()
        self._can_skip = source.codec_name in CAN_SKIP_LEAVES and not timeline.is_by_order

    def frames_at(self, targets: Sequence[int]) -> Iterator[Shown]:
        """For each time (ascending ticks): the ticks and picture of the frame shown then.

        Times before the first frame get the first, times after the last the last. What cannot be
        decoded is replaced by the nearest frame that can; nothing comes if there is none at all.
        """
        waiting: deque[int] = deque()
        self._wanted = frozenset(map(self._timeline.frame_at, targets))
        for place, group in groupby(targets, self._timeline.start_for):
            waiting.extend(group)
            yield from self._answer(waiting, self._frames_from(place, until=waiting[-1]))
        if self._shown is not None:
            yield from (self._shown for _ in waiting)

    def _answer(self, waiting: deque[int], frames: Iterator[Shown]) -> Iterator[Shown]:
        """Take from `waiting` every time that the frames settle."""
        for time, frame in frames:
            if self._shown is not None and time <= self._shown[0]:
                continue
            before = self._shown or (time, frame)
            self._shown = time, frame
            while waiting and waiting[0] < time:
                waiting.popleft()
                yield before
            # A frame shown at the very time wanted needs no later one to prove it.
            while waiting and waiting[0] == time:
                waiting.popleft()
                yield time, frame
            if not waiting:
                return

    def _frames_from(self, place: int, *, until: int) -> Iterator[Shown]:
        """Frames from the group of pictures `place` on, read up to there if it lies ahead."""
        key = self._timeline.keys[place]
        is_ahead = self._newest_key is None or key > self._newest_key
        if not is_ahead or len(self._timeline.keys) == 1:
            return self._following()
        packet = self._skip_to(place)
        if packet is None:
            return iter(())
        self._feed(packet)
        return self._alone() if until == key else self._following()

    def _skip_to(self, place: int) -> av.Packet[av.VideoStream] | None:
        """The packet of this keyframe; everything before it stays undecoded."""
        if self._newest_key is not None:
            self._context.flush_buffers()
        self._ready.clear()
        key = self._floor = self._timeline.keys[place]
        if self._may_seek and self._timeline.num_shown(self._newest_key, key) >= SEEK_FROM:
            packet = self._seek(self._timeline.seek_to[place], key)
            if packet is not None:
                return packet
            self._may_seek = False
            self._begin_again()
        # Discard.nonkey would spare the reading, but MP4 packets then come with wrong times.
        packets = (p for p in self._packets if p.is_keyframe and packet_time(p) >= key)
        return next(packets, None)

    def _seek(self, seek_to: int, key: int) -> av.Packet[av.VideoStream] | None:
        """The packet of a keyframe by the container's index; None if it leads elsewhere."""
        try:
            self._source.container.seek(seek_to, stream=self._source.stream)
        except av.FFmpegError:
            return None
        self._packets = self._demux()
        keyframes = (p for p in self._packets if p.is_keyframe and packet_time(p) >= key)
        packet = next(keyframes, None)
        return packet if packet is not None and packet_time(packet) == key else None

    def _begin_again(self) -> None:
        self._source.reopen()
        self._context = self._source.stream.codec_context
        self._packets = self._demux()

    def _alone(self) -> Iterator[Shown]:
        """What comes out of the packets fed so far, without any that follow."""
        self._drain()
        self._context.flush_buffers()
        while self._ready:
            yield self._ready.popleft()

    def _following(self) -> Iterator[Shown]:
        """Every further frame in the order of their times."""
        # No packet may be in hand while a frame is out: the caller may stop there and begin anew.
        while True:
            while self._ready:
                yield self._ready.popleft()
            packet = next(self._packets, None)
            if packet is None:
                break
            self._feed(packet)
        self._drain()
        while self._ready:
            yield self._ready.popleft()

    def _feed(self, packet: av.Packet[av.VideoStream]) -> None:
        if packet.is_keyframe:
            self._newest_key = max(packet_time(packet), self._newest_key or packet_time(packet))
        if self._can_skip:
            is_wanted = packet_time(packet) in self._wanted
            self._context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
        try:
            self._keep(packet.decode())
        except av.FFmpegError:
            self.num_damaged += 1

    def _drain(self) -> None:
        try:
            self._keep(self._context.decode(None))
        except av.EOFError:
            return
        except av.FFmpegError:
            self.num_damaged += 1

    def _keep(self, frames: Sequence[av.VideoFrame]) -> None:
        # Frames before the keyframe decoding started at lean on ones that were passed over.
        timed = ((self._time(frame), frame) for frame in frames)
        kept = [(time, frame) for time, frame in timed if time >= self._floor]
        self.num_damaged += sum(frame.is_corrupt for _, frame in kept)
        for _, frame in kept:
            self._source.light.fill_in(frame)
        self._ready.extend(kept)

    def _time(self, frame: av.VideoFrame) -> int:
        self._num_out += 1
        times = self._timeline.shown
        if self._timeline.is_by_order:
            return times[min(self._num_out, len(times)) - 1]
        known = frame.pts if frame.pts is not None else frame.dts
        return known if known is not None else times[min(self._num_out, len(times)) - 1]

    def _demux(self) -> Iterator[av.Packet[av.VideoStream]]:
        # Where the clock is not one line nothing is sought, so that packets count from the start.
        clock, number = self._timeline.clock, 0
        try:
            for packet in self._source.container.demux(self._source.stream):
                self._deadline.check()
                if packet.size:
                    if clock.shifts:
                        move(packet, clock.shift_of(number, packet_time(packet)))
                    number += 1
                    yield packet
        except READING_ERRORS:
            return


def move(packet: av.Packet[av.VideoStream], ticks: int) -> None:
    """Set a packet's times, as far as it has some, so much later."""
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks


def packet_time(packet: av.Packet[av.VideoStream]) -> int:
    """When a packet's frame is shown, or if that is not said when it is decoded."""
    if packet.pts is not None:
        return packet.pts
    return packet.dts if packet.dts is not None else -(2**62)
