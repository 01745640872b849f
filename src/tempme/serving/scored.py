"""One video and a query: what each of its moments scores, and which of them are the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tempme.index.confidence import Judge
from tempme.index.moments import Confidence, Gallery, moment_id
from tempme.index.peaks import best_apart
from tempme.serving.schema import MomentOut


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """The moments of one content in order of time: unit features (N, D) and scores (N,)."""

    gallery: Gallery
    features: NDArray[np.float32]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, gallery: Gallery, queries: NDArray[np.float32]) -> ScoredVideo:
        """The moments of a content with their scores for queries (Q, D), unit rows."""
        rows = gallery.features.astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)
        scores = np.clip((queries @ rows.T).max(axis=0), -1, 1)
        return cls(gallery, rows, scores.astype(np.float32))

    def every(self, judge: Judge) -> list[MomentOut]:
        """All moments in order of time."""
        return self._judged(list(range(len(self.gallery))), judge)

    def best(self, judge: Judge, most: int) -> list[MomentOut]:
        """The best moments that are distinct, best first."""
        return self._judged(self.best_rows(most), judge)

    def best_rows(self, most: int) -> list[int]:
        """The rows of those."""
        return best_apart(self.gallery, self.scores, most)

    def told(self, rows: list[int], levels: Sequence[Confidence]) -> list[MomentOut]:
        """The moments in these rows."""
        (video_id,) = self.gallery.contents
        spans, scores = self.gallery.spans[rows].tolist(), self.scores[rows].tolist()
        return [
            MomentOut(
                moment_id=moment_id(video_id, start, end),
                start_seconds=round(start, 3),
                end_seconds=round(end, 3),
                score=round(score, 4),
                confidence=level,
            )
            for (start, end), score, level in zip(spans, scores, levels, strict=True)
        ]

    def _judged(self, rows: list[int], judge: Judge) -> list[MomentOut]:
        if not rows:
            return []
        return self.told(rows, judge.levels(self.scores[rows], self.features[rows]))


def best_of_each(
    videos: Sequence[ScoredVideo], judge: Judge, most: int
) -> dict[str, list[MomentOut]]:
    """`ScoredVideo.best` of several by their ids, all judged together, which spares much."""
    rows = [video.best_rows(most) for video in videos]
    if not any(rows):
        return {}
    chosen = list(zip(videos, rows, strict=True))
    levels = iter(
        judge.levels(
            np.concatenate([video.scores[those] for video, those in chosen]),
            np.concatenate([video.features[those] for video, those in chosen]),
        )
    )
    return {
        video.gallery.contents[0]: video.told(those, list(islice(levels, len(those))))
        for video, those in chosen
        if those
    }
