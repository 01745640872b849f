"""From a query's feature to hits: an exact scan, behind an approximate index only where it pays."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.index.building.encode import why_unusable
from tempme.index.moments import Gallery, Hit, Video
from tempme.index.peaks import Peaks
from tempme.index.stores.store import Store

# Moments up to which everything is scanned (some 330 hours of video). There a cold scan costs as
# much as a cold approximate search, which reads no features but needs LanceDB (1.3 s to import);
# a warm scan is still twice as fast. `benchmarks/search.py` has the figures.
EXACT_MOMENTS = 200_000
# How many moments the approximate index is asked for per hit wanted: a video has many.
CANDIDATES_PER_HIT = 20
MORE_CANDIDATES = 8


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
            return self._moments(scores.max(axis=0), request)
        best = np.maximum.reduceat(scores, self.gallery.first, axis=1).mean(axis=0)
        return self._videos(best, self._best_rows(scores.max(axis=0)), request)

    def _best_rows(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """The row of each content's best moment."""
        order = np.lexsort((-scores, self.gallery.owner))
        return order[self.gallery.first]

    def _videos(
        self, scores: NDArray[np.float32], rows: NDArray[np.int64], request: Request
    ) -> list[Hit]:
        hits: list[Hit] = []
        for content in _ranked(scores, request):
            paths = self._paths(int(content), request.under)
            if paths:
                start, end = (float(value) for value in self.gallery.spans[rows[content]])
                hits.append(self._hit(int(content), paths, start, end, float(scores[content])))
            if len(hits) == request.k:
                break
        return hits

    def _moments(self, scores: NDArray[np.float32], request: Request) -> list[Hit]:
        peaks = Peaks(self.gallery, scores)
        hits: list[Hit] = []
        for row in _ranked(scores, request):
            content = int(self.gallery.owner[row])
            paths = self._paths(content, request.under)
            if paths and (span := peaks.take(int(row))) is not None:
                hits.append(self._hit(content, paths, *span, float(scores[row])))
            if len(hits) == request.k:
                break
        return hits

    def _paths(self, content: int, under: Path | None) -> tuple[Path, ...]:
        paths = self.gallery.paths[content]
        if under is None:
            return paths
        return tuple(path for path in paths if path.is_relative_to(under))

    def _hit(
        self, content: int, paths: tuple[Path, ...], start: float, end: float, score: float
    ) -> Hit:
        """One hit for a content, however many files have it."""
        return Hit(paths[0], start, end, score, self.gallery.contents[content], paths)


def search_approximately(store: Store, queries: NDArray[np.float32], request: Request) -> list[Hit]:
    """Candidates from the store's index, then exact scores of all moments of those videos.

    A folder to stay under is a filter, and filters are exact: its moments are scanned. Where the
    nearest moments are those of few videos, more are asked for, in the end all.
    """
    if request.under is not None:
        return Scan(store.gallery(_contents_under(store, request.under))).hits(queries, request)
    wanted, most = request.k * CANDIDATES_PER_HIT, store.num_moments()
    while wanted < most:
        candidates: dict[str, None] = {}
        for query in queries:
            candidates.update(dict.fromkeys(store.nearest(query, wanted)))
        hits = Scan(store.gallery(list(candidates))).hits(queries, request)
        is_all_above = request.min_score is not None and len(hits) < len(candidates)
        if len(hits) == request.k or is_all_above:
            return hits
        wanted *= MORE_CANDIDATES
    return Scan(store.gallery()).hits(queries, request)


def check_queries(queries: NDArray[np.float32]) -> None:
    """BadSetting if the model gave nothing that can be compared."""
    if problem := why_unusable(queries):
        raise BadSetting(
            f"the model gave no usable feature ({problem}) for this query; try another"
        )


def folder_to_search(
    under: str | Path | None, videos: Callable[[], Sequence[Video]]
) -> Path | None:
    """The real folder to stay under; BadSetting for one neither on this disk nor in the index.

    What is not there may be a disk that is not mounted: what is known of it can be found.
    """
    if under is None:
        return None
    folder = Path(os.path.realpath(Path(under).expanduser()))
    if folder.exists() or any(video.path.is_relative_to(folder) for video in videos()):
        return folder
    raise BadSetting(
        f"no such folder: {folder}, and the index knows no video there; give --under a folder "
        "that was indexed"
    )


def _contents_under(store: Store, folder: Path) -> Sequence[str]:
    return sorted({v.digest for v in store.videos() if v.path.is_relative_to(folder)})


def _ranked(scores: NDArray[np.float32], request: Request) -> NDArray[np.int64]:
    """The places of the scores that count, from the best down."""
    order = np.argsort(-scores, kind="stable")
    if request.min_score is None:
        return order
    return order[scores[order] >= request.min_score]
