"""From a query's feature to hits: an exact scan, behind an approximate index only where it pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.index.building.encode import why_unusable
from tempme.index.moments import Gallery, Hit
from tempme.index.stores.store import Store

# Moments up to which everything is scanned (some 330 hours of video). There a cold scan costs as
# much as a cold approximate search, which reads no features but needs LanceDB (1.3 s to import);
# a warm scan is still twice as fast. `benchmarks/search.py` has the figures.
EXACT_MOMENTS = 200_000
# How many moments the approximate index is asked for per hit wanted: a video has many.
CANDIDATES_PER_HIT = 20


@dataclass(frozen=True)
class Request:
    """What is asked of a search, apart from the query."""

    k: int = 10
    min_score: float | None = None
    moments: bool = False
    under: Path | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadSetting(f"k is {self.k}; ask for at least 1 hit")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise BadSetting(f"min_score is {self.min_score}; it is a cosine, so from -1 to 1")


class Scan:
    """A gallery ready to be compared with queries: float32, as products are fastest there."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._features = gallery.features.astype(np.float32)
        # Half precision leaves rows a thousandth away from unit length: scores make up for it.
        squares = np.einsum("nd,nd->n", self._features, self._features)
        self._norms = np.sqrt(squares).clip(1e-6)

    def hits(self, queries: NDArray[np.float32], request: Request) -> list[Hit]:
        """Queries (Q, D), unit rows -> best hits first.

        Several queries are the windows of one video: a video's score is the mean over them of
        its best moment, so that one thing in common (a black start) makes no two videos alike.
        """
        if not len(self.gallery):
            return []
        scores = np.clip(queries @ self._features.T / self._norms, -1, 1)
        if request.moments:
            rows = np.arange(len(self.gallery))
            return self._answer(scores.max(axis=0), rows, request)
        best = np.maximum.reduceat(scores, self.gallery.first, axis=1).mean(axis=0)
        return self._answer(best, self._best_rows(scores.max(axis=0)), request)

    def _best_rows(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """The row of each content's best moment."""
        order = np.lexsort((-scores, self.gallery.owner))
        return order[self.gallery.first]

    def _answer(
        self, scores: NDArray[np.float32], rows: NDArray[np.int64], request: Request
    ) -> list[Hit]:
        hits: list[Hit] = []
        for place in np.argsort(-scores, kind="stable"):
            if len(hits) >= request.k or _is_below(float(scores[place]), request.min_score):
                break
            hits.extend(self._hits_of(int(rows[place]), float(scores[place]), request.under))
        return hits[: request.k]

    def _hits_of(self, row: int, score: float, under: Path | None) -> list[Hit]:
        """One hit for every path that has the content."""
        content = int(self.gallery.owner[row])
        start, end = (float(value) for value in self.gallery.spans[row])
        return [
            Hit(path, start, end, score, self.gallery.contents[content])
            for path in self.gallery.paths[content]
            if under is None or path.is_relative_to(under)
        ]


def search_approximately(store: Store, queries: NDArray[np.float32], request: Request) -> list[Hit]:
    """Candidates from the store's index, then exact scores of all moments of those videos.

    A folder to stay under is a filter, and filters are exact: its moments are scanned.
    """
    if request.under is not None:
        return Scan(store.gallery(_contents_under(store, request.under))).hits(queries, request)
    wanted = request.k * CANDIDATES_PER_HIT
    candidates: dict[str, None] = {}
    for query in queries:
        candidates.update(dict.fromkeys(store.nearest(query, wanted)))
    return Scan(store.gallery(list(candidates))).hits(queries, request)


def check_queries(queries: NDArray[np.float32]) -> None:
    """BadSetting if the model gave nothing that can be compared."""
    if problem := why_unusable(queries):
        raise BadSetting(
            f"the model gave no usable feature ({problem}) for this query; try another"
        )


def _contents_under(store: Store, folder: Path) -> Sequence[str]:
    return sorted({v.digest for v in store.videos() if v.path.is_relative_to(folder)})


def _is_below(score: float, limit: float | None) -> bool:
    return limit is not None and score < limit
