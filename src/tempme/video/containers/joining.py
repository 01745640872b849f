"""Which leaps in the times of a file are true: evidence from the container around them."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.clock import (
    MOST_REORDERED,
    Clock,
    Gap,
    chain,
    disbelieved,
    gaps_of,
    stretches,
    total_of,
)
from tempme.video.containers.packets import UNSAID, Packets
from tempme.video.containers.source import Source

# Containers that keep times of decoding as well, and whose clock may start again.
DECODING_KEPT = frozenset({"flv", "mpeg", "mpegts", "live_flv"})
# Those in which times go on: an edit list may show a part twice, but not start the clock again.
ONE_LINE = frozenset({"mov", "gif", "apng"})
# Seconds that a clock may go back without having started again: jitter. FFmpeg's own limit.
SLACK = 0.1
# Seconds without a frame beyond which evidence is asked for. FFmpeg's limit where clocks may leap.
LONG_GAP = 10
# The same where the container tells nothing: a camera or screen that stood still for an hour.
LONGEST_STILL = 3600
# Where packets are counted and none is missing around a gap, the recorder waited: half a day.
LONGEST_WAIT = 12 * 3600
# More stretches than this are damage.
MOST_STRETCHES = 10_000


def clock_of(source: Source, packets: Packets, raw: NDArray[np.int64]) -> Clock:
    """The clock that makes one line of the times of all packets, as players do."""
    base = source.stream.time_base or Fraction(1, 1000)
    slack, long_gap = round(Fraction(SLACK) / base), round(LONG_GAP / base)
    starts: list[int] = []
    if not source.formats & ONE_LINE:
        dts = packets.decoding() if _keeps_decoding(source, packets) else None
        starts = stretches(raw, dts, packets.keys, max(1, slack))
    if len(starts) > MOST_STRETCHES:
        return Clock()
    gaps = gaps_of(raw, starts, long_gap)
    if not starts and not gaps:
        return Clock()
    closed = _closed(source, packets, raw, starts, gaps)
    return chain(raw, starts, closed, source.frame_ticks)


def has_lead(source: Source, start: int, shown: NDArray[np.int64]) -> bool:
    """Whether the time from the start of the file to the first frame is true."""
    base = source.stream.time_base or Fraction(1, 1000)
    lead = int(shown[0]) - start
    if lead * base <= LONG_GAP:
        return True
    stated = source.stated_ticks
    if stated is None:
        return lead * base <= LONGEST_STILL
    total = int(shown[-1]) - start
    return abs(total - stated) <= abs(total - lead - stated)


def _keeps_decoding(source: Source, packets: Packets) -> bool:
    return bool(source.formats & DECODING_KEPT) and bool((packets.dts_said != UNSAID).any())


def _closed(
    source: Source, packets: Packets, raw: NDArray[np.int64], starts: list[int], gaps: list[Gap]
) -> set[Gap]:
    """Which gaps are not believed."""
    base = source.stream.time_base or Fraction(1, 1000)
    stated = source.stated_ticks
    if stated is not None:
        lead = max(0, int(raw.min()) - (source.start_ticks or 0))
        return disbelieved(gaps, lead + total_of(raw, starts), stated)
    if "mpegts" in source.formats:
        lost = {gap for gap in gaps if _is_loss_near(packets, raw, gap)}
        return lost | {gap for gap in gaps if gap.ticks * base > LONGEST_WAIT}
    longest = LONG_GAP if "mpeg" in source.formats else LONGEST_STILL
    return {gap for gap in gaps if gap.ticks * base > longest}


def _is_loss_near(packets: Packets, raw: NDArray[np.int64], gap: Gap) -> bool:
    """Whether packets are missing where the gap is: something else was recorded after it."""
    place = int(np.flatnonzero(raw == gap.after)[0])
    at = bisect_left(packets.lost, place - MOST_REORDERED)
    return at < len(packets.lost) and packets.lost[at] <= place + MOST_REORDERED
