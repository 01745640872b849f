"""One video and a query: what each of its moments scores, and which of them are the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.index.confidence import Judge
from tempme.index.moments import Gallery, moment_id
from tempme.index.peaks import best_apart
from tempme.serving.schema import MomentOut


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """The moments of one content in order of time: unit features (N, D) and scores (N,)."""

    gallery: Gallery
    features: NDArray[np.float32]
    scores: NDArray[np.float32]

    def every(self, judge: Judge) -> list[MomentOut]:
        """All moments in order of time."""
        return self._told(range(len(self.gallery)), judge)

    def best(self, judge: Judge, most: int) -> list[MomentOut]:
        """The best moments that are distinct, best first."""
        return self._told(best_apart(self.gallery, self.scores, most), judge)

    def _told(self, rows: Sequence[int], judge: Judge) -> list[MomentOut]:
        chosen = list(rows)
        if not chosen:
            return []
        (video_id,) = self.gallery.contents
        levels = judge.levels(self.scores[chosen], self.features[chosen])
        spans = self.gallery.spans[chosen].tolist()
        return [
            MomentOut(
                moment_id=moment_id(video_id, start, end),
                start_seconds=round(start, 3),
                end_seconds=round(end, 3),
                score=round(score, 4),
                confidence=level,
            )
            for (start, end), score, level in zip(
                spans, self.scores[chosen].tolist(), levels, strict=True
            )
        ]
