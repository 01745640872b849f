"""From a query's feature to hits: an exact scan of moments in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.index.building.encode import why_unusable
from tempme.index.confidence import Judge, Kind, spread_over
from tempme.index.lists.half import widened
from tempme.index.moments import Confidence, Gallery, Hit, Video
from tempme.index.peaks import Peaks
from tempme.index.stores.paths import real_path
from tempme.index.stores.store import Store

# Moments up to which everything is scanned (some 80 hours of video): 10 ms, and nothing is missed.
# Beyond, an index has lists (`tempme.index.lists`). `benchmarks/search.py` has the figures.
EXACT_MOMENTS = 50_000
# How many places are sorted at first per hit wanted: neighbouring moments are one hit.
LOOKED_AT_PER_HIT, MORE_PLACES = 32, 8
STRIP = 128


@dataclass(frozen=True)
class Request:
    """What is asked of a search, apart from the query.

    paths: only these files. judge: of the confidence of hits, "none" without one.
    """

    k: int = 10
    min_score: float | None = None
    moments: bool = False
    under: Path | None = None
    paths: frozenset[Path] | None = None
    judge: Judge | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadSetting(f"k is {self.k}; ask for at least 1 hit")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise BadSetting(f"min_score is {self.min_score}; it is a cosine, so from -1 to 1")

    @property
    def is_filtered(self) -> bool:
        """Whether some files are left out."""
        return self.under is not None or self.paths is not None

    def admits(self, path: Path) -> bool:
        """Whether a file may be among the hits."""
        is_below = path == self.under or str(path).startswith(self._inside)
        return is_below and (self.paths is None or path in self.paths)

    @cached_property
    def _inside(self) -> str:
        """How the names of all files in the folder begin: a hundredth of `is_relative_to`."""
        return "" if self.under is None else str(self.under).removesuffix(os.sep) + os.sep


@dataclass(frozen=True, eq=False)
class Asked:
    """A search: features (Q, D), unit rows, what they are of, and the rest of what is asked."""

    queries: NDArray[np.float32]
    request: Request
    kind: Kind = "text"

    def judged(self, judge: Judge) -> Asked:
        """The same, with what tells how sure its hits are."""
        return replace(self, request=replace(self.request, judge=judge))


class Scan:
    """A gallery ready to be compared with queries: float32, as products are fastest there.

    is_admitted: all its contents are known to be admitted by what is asked.
    """

    def __init__(self, gallery: Gallery, *, is_admitted: bool = False) -> None:
        self.gallery, self._is_admitted = gallery, is_admitted
        features = widened(gallery.features)
        self._columns = features.T  # (D, N)
        self._bounds = np.append(gallery.first, len(gallery))
        # Half precision leaves rows a thousandth away from unit length: scores make up for it.
        self._norms = np.sqrt(np.einsum("nd,nd->n", features, features)).clip(1e-6)

    def scores(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries (Q, D), unit rows -> cosines (Q, N) with every moment."""
        scores = queries @ self._columns
        scores /= self._norms
        return np.clip(scores, -1, 1, out=scores)

    def hits(
        self,
        queries: NDArray[np.float32],
        request: Request,
        *,
        scores: NDArray[np.float32] | None = None,
    ) -> list[Hit]:
        """Queries (Q, D), unit rows -> best hits first; `scores` are those of `self.scores`.

        Several queries are the windows of one video: a video's score is the mean over them of
        its best moment, so that one thing in common (a black start) makes no two videos alike.
        """
        if not len(self.gallery):
            return []
        scores = self.scores(queries) if scores is None else scores
        single = scores.max(axis=0)
        if request.moments:
            return self._moments(self._admitted(single, request, self.gallery.owner), request)
        best = np.maximum.reduceat(scores, self._bounds[:-1], axis=1).mean(axis=0)
        worth = self._admitted(best, request, np.arange(len(self.gallery.contents)))
        return self._videos(worth, single, request)

    def hits_of_all(self, asked: Sequence[Asked]) -> list[list[Hit]]:
        """The hits of several searches: one product for all of those that are a single row.

        The moments are read from memory once for all, which is what a product of one row waits for.
        Whoever asks for several at a time asks again: then it pays to lay the features out by
        dimension, which takes as long as some searches and halves the time of each.
        """
        if len(asked) > 1 and not self._columns.flags.c_contiguous:
            self._columns = _by_dimension(self._columns)
        single = [one for one in asked if len(one.queries) == 1]
        rows = self.scores(np.concatenate([one.queries for one in single])) if single else ()
        scores = {id(one): row[None] for one, row in zip(single, rows, strict=True)}
        return [self.hits(one.queries, one.request, scores=scores.get(id(one))) for one in asked]

    def _admitted(
        self, worth: NDArray[np.float32], request: Request, contents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Without the places whose content, `contents[place]`, no admitted file has."""
        if self._is_admitted or not request.is_filtered:
            return worth
        paths = self.gallery.paths
        admitted = np.array([any(map(request.admits, those)) for those in paths], dtype=bool)
        return np.where(admitted[contents], worth, -np.inf).astype(np.float32)

    def _best_row(self, single: NDArray[np.float32], content: int) -> int:
        """The row of a content's best moment."""
        start, stop = self._bounds[content : content + 2]
        return int(start + single[start:stop].argmax())

    def _videos(
        self, worth: NDArray[np.float32], single: NDArray[np.float32], request: Request
    ) -> list[Hit]:
        """A hit for each of the best contents, at the row that `single` finds best."""
        contents = list(islice(_ranked(worth, request), request.k))
        rows = [self._best_row(single, content) for content in contents]
        spans = [(float(start), float(end)) for start, end in self.gallery.spans[rows]]
        return self._answer(rows, spans, worth[contents], request)

    def _moments(self, worth: NDArray[np.float32], request: Request) -> list[Hit]:
        """A hit for each of the best moments that are distinct."""
        peaks = Peaks(self.gallery, worth)
        rows: list[int] = []
        spans: list[tuple[float, float]] = []
        for row in _ranked(worth, request):
            if (span := peaks.take(row)) is not None:
                rows.append(row)
                spans.append(span)
            if len(rows) == request.k:
                break
        return self._answer(rows, spans, worth[rows], request)

    def _answer(
        self,
        rows: list[int],
        spans: list[tuple[float, float]],
        scores: NDArray[np.float32],
        request: Request,
    ) -> list[Hit]:
        """One hit for the content of a row, however many files have it."""
        hits = []
        levels = self._levels(scores, rows, request)
        for row, span, score, level in zip(rows, spans, scores.tolist(), levels, strict=True):
            content = int(self.gallery.owner[row])
            paths = tuple(path for path in self.gallery.paths[content] if request.admits(path))
            hits.append(Hit(paths[0], *span, score, self.gallery.contents[content], paths, level))
        return hits

    def _levels(
        self, scores: NDArray[np.float32], rows: list[int], request: Request
    ) -> list[Confidence]:
        if request.judge is None or not rows:
            return ["none"] * len(rows)
        units = self.gallery.features[rows].astype(np.float32) / self._norms[rows, None]
        return request.judge.levels(scores, units)


def _by_dimension(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same (D, N) with the moments of a dimension side by side, made in strips."""
    turned = np.empty(columns.shape, dtype=np.float32)
    for start in range(0, columns.shape[1], STRIP):
        turned[:, start : start + STRIP] = columns[:, start : start + STRIP]
    return turned


def _best_places(worth: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The places of the k best, best first, equals in their order; without those left out."""
    least = -np.inf if k >= len(worth) else np.partition(worth, len(worth) - k)[len(worth) - k]
    places = np.flatnonzero((worth >= least) & (worth > -np.inf))
    return places[np.argsort(-worth[places], kind="stable")]


def sample(store: Store, whole: Gallery | None, *, most: int) -> Gallery:
    """About `most` moments of contents evenly spread; all, `whole`, if there are no more."""
    if whole is not None and len(whole) <= most:
        return whole
    contents = sorted({video.digest for video in store.videos() if video.status == "ok"})
    share = most / max(1, store.num_moments())
    chosen = spread_over(len(contents), max(1, round(share * len(contents))))
    return store.gallery([contents[i] for i in chosen])


def check_queries(queries: NDArray[np.float32]) -> None:
    """BadSetting if the model gave nothing that can be compared."""
    if problem := why_unusable(queries):
        raise BadSetting(
            f"the model gave no usable feature ({problem}) for this query; try another"
        )


def request_of(
    k: int,
    min_score: float | None,
    moments: bool,
    under: str | Path | None,
    videos: Callable[[], Sequence[Video]],
) -> Request:
    """What a person asks of an index of `videos`; BadSetting where it makes no sense."""
    return Request(k, min_score, moments, folder_to_search(under, videos))


def folder_to_search(
    under: str | Path | None, videos: Callable[[], Sequence[Video]]
) -> Path | None:
    """The real folder to stay under; BadSetting for one neither on this disk nor in the index.

    What is not there may be a disk that is not mounted: what is known of it can be found.
    """
    if under is None:
        return None
    if under == "":  # `Path` would make the folder of it that one is in
        raise BadSetting("under is an empty path; name a folder, or leave it out")
    folder = real_path(under)
    if folder.exists() or any(video.path.is_relative_to(folder) for video in videos()):
        return folder
    raise BadSetting(
        f"no such folder: {folder}, and the index knows no video there; give --under a folder "
        "that was indexed"
    )


def _ranked(worth: NDArray[np.float32], request: Request) -> Iterator[int]:
    """The places that count, from the best down; only as many are sorted as are asked for."""
    seen, most = 0, LOOKED_AT_PER_HIT * request.k
    while seen < len(worth):
        places = _best_places(worth, most)
        for place in places[seen:].tolist():
            if request.min_score is not None and worth[place] < request.min_score:
                return
            yield place
        if most >= len(worth):
            return
        seen, most = len(places), most * MORE_PLACES
