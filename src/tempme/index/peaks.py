"""Distinct moments: the windows around a peak that show the same are one moment with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Gallery

# Windows of one shot differ by about so much in their scores.
SAME = 0.02
# What a video scores where it does not show what is asked: this quantile of its windows.
LEVEL = 0.25
# The moments of a video that are worth a look score above this share of the way from its level to
# its best.
WORTH = 0.5
# Windows that end where the next begins are neighbours, however their times were rounded.
TOUCHING_SECONDS = 1e-3


class Peaks:
    """Takes moments of a gallery from the best down; `scores` (N,) are theirs for one query.

    A moment reaches to both sides of its peak as far as windows that overlap or touch score like
    the peak: within `SAME` of it, or above the middle between it and the level of the video. What
    overlaps or touches a moment that has been taken is not another moment.
    """

    def __init__(self, gallery: Gallery, scores: NDArray[np.float32]) -> None:
        self._gallery, self._scores = gallery, scores
        self._first = np.append(gallery.first, len(gallery))
        self._is_taken = np.zeros(len(gallery), dtype=bool)

    def take(self, row: int) -> tuple[float, float] | None:
        """Start and end in seconds of the moment around this row; None if it is part of another."""
        if self._is_taken[row]:
            return None
        content = int(self._gallery.owner[row])
        low, high = int(self._first[content]), int(self._first[content + 1])
        spans = self._gallery.spans
        limit = self._limit(row, low, high)
        start, end = (float(value) for value in spans[row])
        for beside in range(row - 1, low - 1, -1):
            if not self._belongs(beside, limit) or spans[beside, 1] < start - TOUCHING_SECONDS:
                break
            start = min(start, float(spans[beside, 0]))
        for beside in range(row + 1, high):
            if not self._belongs(beside, limit) or spans[beside, 0] > end + TOUCHING_SECONDS:
                break
            end = max(end, float(spans[beside, 1]))
        self._is_taken[low:high] |= (spans[low:high, 0] <= end + TOUCHING_SECONDS) & (
            spans[low:high, 1] >= start - TOUCHING_SECONDS
        )
        return start, end

    def _limit(self, row: int, low: int, high: int) -> float:
        """The score down to which a window shows the same as the peak."""
        peak = float(self._scores[row])
        level = _level(self._scores[low:high])
        return min((peak + level) / 2, peak - SAME)

    def _belongs(self, row: int, limit: float) -> bool:
        return not self._is_taken[row] and float(self._scores[row]) >= limit


def _level(scores: NDArray[np.float32]) -> float:
    """What `np.quantile` gives, which takes a hundred times as long over a few scores."""
    ordered = np.sort(scores)
    place = LEVEL * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def best_apart(gallery: Gallery, scores: NDArray[np.float32], most: int) -> list[int]:
    """The rows of the best distinct moments of one content, best first, at most `most`.

    `scores` (N,) are those of the gallery's moments. The first row is that of the best score;
    others follow while they score clearly above what the video does where nothing is.
    """
    if not len(gallery):
        return []
    best, level = float(scores.max()), _level(scores)
    least = min(level + WORTH * (best - level), best - SAME)
    peaks = Peaks(gallery, scores)
    rows: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if len(rows) == most or scores[row] < least:
            break
        if peaks.take(row) is not None:
            rows.append(row)
    return rows
