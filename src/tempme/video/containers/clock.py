"""Making one time line of a clock that starts again or jumps.

Recordings are joined byte by byte, a stream is taken up again after its connection broke, a camera
counts from zero in each of its files: the times in such a file go back, or ahead by hours in which
nothing was recorded. Players go on where they are. So do we: each stretch of packets follows the
one before it, in the order of the file, and a gap is closed unless there is reason to believe it.
The result is a value, `Clock`, that says how much each packet's times move; it is read off the
times of all packets once and applied again whenever the file is read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]
# Decoders hold back at most 16 frames to put them in the order of showing (H.264, annex A).
MOST_REORDERED = 16
ALWAYS = -(2**63)


@dataclass(frozen=True)
class Shift:
    """The times of packets from number `first` on, if not before `since`, move by `ticks`."""

    first: int
    since: int
    ticks: int


@dataclass(frozen=True)
class Clock:
    """How the times in a file become one line: in the order of `first`, then of `since`."""

    shifts: tuple[Shift, ...] = ()

    def shift_of(self, packet: int, time: int) -> int:
        """How much later than it says a packet is shown; `packet` counts from 0 in file order."""
        if not self.shifts:
            return 0
        stretch = self.shifts[bisect_right(self.shifts, packet, key=_first) - 1].first
        return self.shifts[bisect_right(self.shifts, (stretch, time), key=_place) - 1].ticks

    def applied(self, times: Ticks) -> Ticks:
        """The times of all packets, in file order, on the one line."""
        if not self.shifts:
            return times
        moved = times.copy()
        stretches = [(first, list(mine)) for first, mine in groupby(self.shifts, key=_first)]
        stops = [first for first, _ in stretches[1:]] + [len(times)]
        for (first, mine), stop in zip(stretches, stops, strict=True):
            part = times[first:stop]
            places = np.searchsorted([shift.since for shift in mine], part, side="right") - 1
            moved[first:stop] = part + np.array([shift.ticks for shift in mine])[places]
        return moved


def _first(shift: Shift) -> int:
    return shift.first


def _place(shift: Shift) -> tuple[int, int]:
    return shift.first, shift.since


@dataclass(frozen=True)
class Gap:
    """A leap in one stretch: nothing is shown between two times of the packets as they are."""

    before: int
    after: int

    @property
    def ticks(self) -> int:
        """How long it is."""
        return self.after - self.before


def stretches(pts: Ticks, dts: Ticks | None, keys: Sequence[int], slack: int) -> list[int]:
    """The numbers of the packets at which the clock starts again.

    `dts` are the times of decoding where the container keeps them: they never go back by more
    than `slack` ticks. Where it keeps none, no keyframe is shown before the frames that came ahead
    of it, and no other frame is shown before more of them than a decoder holds back.
    """
    if len(pts) < 2:
        return []
    if dts is not None:
        return [int(i) + 1 for i in np.flatnonzero(np.diff(dts) < -slack)]
    late = pts < np.maximum.accumulate(pts) - slack
    if not late.any():
        return []
    return _by_showing(pts, frozenset(keys), slack)


def _by_showing(pts: Ticks, keys: frozenset[int], slack: int) -> list[int]:
    starts: list[int] = []
    newest: list[int] = []
    for number, time in enumerate(pts.tolist()):
        ahead = sum(time < other - slack for other in newest)
        if ahead > (0 if number in keys else MOST_REORDERED):
            starts.append(number)
            newest.clear()
        newest.append(time)
        newest.sort()
        del newest[: -MOST_REORDERED - 1]
    return starts


def gaps_of(pts: Ticks, starts: Sequence[int], longest: int) -> list[Gap]:
    """Where, within a stretch, nothing is shown for more than `longest` ticks."""
    found = []
    for part in np.split(pts, list(starts)):
        times = np.unique(part)
        for place in np.flatnonzero(np.diff(times) > longest):
            found.append(Gap(int(times[place]), int(times[place + 1])))
    return found


def disbelieved(gaps: Sequence[Gap], total: int, stated: int) -> set[Gap]:
    """The gaps without which the whole, `total` ticks with all of them, is nearer to `stated`."""
    closed = set()
    for gap in sorted(gaps, key=lambda gap: gap.ticks, reverse=True):
        if abs(total - gap.ticks - stated) < abs(total - stated):
            closed.add(gap)
            total -= gap.ticks
    return closed


def total_of(pts: Ticks, starts: Sequence[int]) -> int:
    """How long all stretches are together."""
    return sum(int(part.max() - part.min()) for part in np.split(pts, list(starts)) if len(part))


def chain(pts: Ticks, starts: Sequence[int], closed: Set[Gap], step: int) -> Clock:
    """The clock that lets each stretch follow the one before it, without the closed gaps.

    `step` is how long a frame stays where nothing tells. A file whose times need no change gives
    an empty clock.
    """
    shifts: list[Shift] = []
    end: int | None = None
    shortest = min((gap.ticks for gap in closed), default=0)
    for first, part in zip([0, *starts], np.split(pts, list(starts)), strict=True):
        times = np.unique(part)
        steps = np.diff(times)
        usual = int(np.median(steps)) if len(steps) else step
        ticks = 0 if end is None else end - int(times[0])
        shifts.append(Shift(first, ALWAYS, ticks))
        for place in np.flatnonzero(steps >= shortest) if closed else ():
            gap = Gap(int(times[place]), int(times[place + 1]))
            if gap in closed:
                ticks -= gap.ticks - usual
                shifts.append(Shift(first, gap.after, ticks))
        end = int(times[-1]) + ticks + usual
    return Clock(tuple(shifts)) if any(shift.ticks for shift in shifts) else Clock()
