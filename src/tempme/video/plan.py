"""Which frames to decode for some windows: exact ones, keyframes, or a mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.timeline import Timeline
from tempme.video.sampling import nearest
from tempme.video.standing_in import StandIns
from tempme.video.values import Reading, Sampling, Window

# By the rule of before, the share of a window's frames that had to be distinct for keyframes to be
# taken for all of them.
DISTINCT = 0.5


@dataclass(frozen=True)
class Plan:
    """Distinct times to decode (ascending ticks) and, per window, F indices into them (W, F)."""

    targets: tuple[int, ...]
    windows: NDArray[np.int64]
    note: str


def plan_frames(wanted: Sequence[Window], timeline: Timeline, reading: Reading) -> Plan:
    """Choose between the frame shown at each time and a keyframe, as `reading.sampling` says.

    `exact` takes the frame shown. `keyframes` takes the nearest keyframe unless a window would
    then see a single picture though it asks for several; the note says how many windows are exact
    for that. `auto` and `fast` take a keyframe for each frame that it can stand in for
    (`standing_in`); by rule 1 the nearest keyframes, unless fewer than half of a window's frames
    would be distinct.
    """
    choose = _chooser(timeline, reading)
    chosen = [choose(window) for window in wanted]
    targets = sorted({ticks for window in chosen for ticks in window})
    place = {ticks: i for i, ticks in enumerate(targets)}
    indices = np.array([[place[t] for t in window] for window in chosen], dtype=np.int64)
    return Plan(tuple(targets), indices, _note(wanted, chosen, timeline, reading.sampling))


def _chooser(timeline: Timeline, reading: Reading) -> Callable[[Window], tuple[int, ...]]:
    if reading.sampling == "exact" or not timeline.shown_keys:
        return lambda window: _exact(window, timeline)
    if reading.sampling == "keyframes":
        return lambda window: _keyframes(window, timeline, distinct=0.0)
    if reading.sampling_rule == 1:
        return lambda window: _keyframes(window, timeline, distinct=DISTINCT)
    stand_ins = StandIns(timeline)
    return lambda window: _standing_in(window, timeline, stand_ins)


def _exact(window: Window, timeline: Timeline) -> tuple[int, ...]:
    return tuple(timeline.shown_at(seconds) for seconds in window.seconds)


def _keyframes(window: Window, timeline: Timeline, *, distinct: float) -> tuple[int, ...]:
    exact = _exact(window, timeline)
    keys = tuple(nearest(timeline.shown_keys, ticks) for ticks in exact)
    least = min(len(set(exact)), max(2.0, distinct * len(exact)))
    return keys if len(set(keys)) >= least else exact


def _standing_in(window: Window, timeline: Timeline, found: StandIns) -> tuple[int, ...]:
    gaps = (after - before for before, after in pairwise(sorted(window.seconds)))
    step = int(min(gaps, default=0.0) / timeline.time_base)
    return tuple(found.for_frame(ticks, step) for ticks in _exact(window, timeline))


def _note(
    wanted: Sequence[Window],
    chosen: Sequence[tuple[int, ...]],
    timeline: Timeline,
    sampling: Sampling,
) -> str:
    if sampling != "keyframes":
        return ""
    keys = set(timeline.shown_keys)
    exact = sum(not set(window) <= keys for window in chosen)
    if not exact:
        return ""
    return f"keyframes too sparse: exact frames in {exact} of {len(wanted)} windows"
