"""Which frames to decode for some windows: exact ones, keyframes, or a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.video.containers.timeline import Timeline
from tempme.video.sampling import nearest
from tempme.video.values import SAMPLINGS, Sampling, Window

# The share of a window's frames that must be distinct for keyframes to stand in for exact ones.
DISTINCT = {"exact": float("inf"), "keyframes": 0.0, "auto": 0.5, "fast": 0.5}


@dataclass(frozen=True)
class Plan:
    """Distinct times to decode (ascending ticks) and, per window, F indices into them (W, F)."""

    targets: tuple[int, ...]
    windows: NDArray[np.int64]
    note: str


def plan_frames(wanted: Sequence[Window], timeline: Timeline, sampling: Sampling) -> Plan:
    """Choose per window between the frame shown at each time and the nearest keyframe.

    `exact` takes the frame shown. `keyframes` takes the nearest keyframe unless a window would
    then see a single picture though it asks for several; `auto` and `fast` unless fewer than half
    of its frames would be distinct. Windows that refuse keyframes are exact, and the note says how
    many.
    """
    if sampling not in SAMPLINGS:
        raise BadSetting(f"sampling is {sampling!r}; it is one of {', '.join(SAMPLINGS)}")
    chosen = [_choose(window, timeline, sampling) for window in wanted]
    targets = sorted({ticks for window in chosen for ticks in window})
    place = {ticks: i for i, ticks in enumerate(targets)}
    indices = np.array([[place[t] for t in window] for window in chosen], dtype=np.int64)
    return Plan(tuple(targets), indices, _note(wanted, chosen, timeline, sampling))


def _choose(window: Window, timeline: Timeline, sampling: Sampling) -> tuple[int, ...]:
    exact = tuple(timeline.shown_at(seconds) for seconds in window.seconds)
    if sampling == "exact" or not timeline.shown_keys:
        return exact
    keys = tuple(nearest(timeline.shown_keys, ticks) for ticks in exact)
    least = min(len(set(exact)), max(2.0, DISTINCT[sampling] * len(exact)))
    return keys if len(set(keys)) >= least else exact


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
