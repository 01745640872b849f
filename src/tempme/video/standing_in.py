"""Keyframes in the place of frames that are wanted: where they show nearly the same, for less.

What a film shows anew from one picture to another is in the packets between them, whose sizes are
known before anything is decoded. Measured by the bytes of the keyframe that their group of pictures
begins with, they tell how much has changed, whatever the codec and its rate. A keyframe stands in
for

- a frame of its own group since which nothing has moved: no packet holds more than `STILL` of the
  keyframe's bytes, and all together no more than `STILL_TOGETHER`;
- a frame at most `NEAR` of a sampling step away from it, if that spares decoding and the packets
  between them hold no more than `NEWS` of the keyframe's bytes: every step of a film is still seen
  by a picture out of it.

Each frame is judged by itself, whatever else is wanted of the film, so that a film cut into
stretches is seen as it is in one pass. Where a file does not tell which bytes are of which frame,
nothing stands in.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import numpy as np

from tempme.video.containers.timeline import Timeline

STILL = 0.02
STILL_TOGETHER = 0.5
NEAR = 0.5
NEWS = 1.0


class StandIns:
    """Which keyframes of one film stand in for which of its frames; times are in its ticks."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._sizes = np.array(timeline.sizes, dtype=np.int64)
        self._before = np.concatenate(([0], np.cumsum(self._sizes)))  # bytes before each frame
        bounds = [*(self._place(key) for key in timeline.keys), len(timeline.shown)]
        self._still_until = [
            self._still(first, stop) for first, stop in pairwise(bounds) if len(self._sizes)
        ]

    def for_frame(self, ticks: int, step: int) -> int:
        """What to decode for the frame at `ticks`, one being wanted every `step`: often itself."""
        line = self._timeline
        group = line.start_for(ticks)
        key = line.keys[group]
        if not self._still_until or line.frame_at(key) != key:  # of a hidden one no size is known
            return ticks
        if ticks <= self._still_until[group]:
            return key
        following = line.keys[group + 1] if group + 1 < len(line.keys) else None
        if following is not None and following - ticks <= min(ticks - key, NEAR * step):
            stand_in, first, stop = following, self._place(ticks) + 1, self._place(following)
        elif ticks - key <= NEAR * step and _is_last(ticks, step, following, line.end):
            stand_in, first, stop = key, self._place(key) + 1, self._place(ticks) + 1
        else:
            return ticks
        is_shown = line.frame_at(stand_in) == stand_in
        news = self._before[stop] - self._before[first]
        return stand_in if is_shown and news <= NEWS * self._sizes[self._place(key)] else ticks

    def _place(self, ticks: int) -> int:
        return bisect_left(self._timeline.shown, ticks)

    def _still(self, first: int, stop: int) -> int:
        """Until when nothing moves in the group of the frames from place `first` to `stop`."""
        if first >= stop:  # of a hidden keyframe nothing else may be shown
            return self._timeline.origin
        whole, later = self._sizes[first], self._sizes[first + 1 : stop]
        moves = (later > STILL * whole) | (np.cumsum(later) > STILL_TOGETHER * whole)
        num_still = int(moves.argmax()) if moves.any() else len(later)
        return self._timeline.shown[first + num_still]


def _is_last(ticks: int, step: int, following: int | None, end: int) -> bool:
    """Whether no other frame of the group is decoded after it: the next keyframe is nearer."""
    return ticks + step >= (end if following is None else following - NEAR * step)
