"""From queries to hits by way of the lists: the lists say what is worth an exact look.

Where few moments are admitted, all of them are compared. Otherwise the lists nearest to the query
are looked into, and the hits are those of an exact scan of the best that was found there: the same
scores, distinct moments and order among equals. Only what lies in no list that was looked into is
missed; `tempme.index.lists.calibrating` measures how much that is and says how far to look.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempme.index.confidence import spread_over
from tempme.index.lists.looking import SeenRows, gallery_of_rows, look
from tempme.index.lists.view import ListsView
from tempme.index.moments import Gallery, Hit
from tempme.index.search import Request, Scan

Floats = NDArray[np.float32]
# So many moments are compared one by one as soon as found through lists; of those that a filter
# leaves, so many, as few that are nearest lie anywhere.
EXACT_ROWS, EXACT_FILTERED_ROWS = 1024, 4096
ROWS_PER_HIT = 40
MORE_ROWS = 8
# How many of the best moments are looked at first per moment wanted: neighbours are one moment.
MOMENTS_PER_HIT = 4
# Contents that have to be seen per hit; of several windows, so many are looked at exactly, as
# what has the best mean is not known before.
CONTENTS_PER_HIT = 4
# Sums of other lengths are rounded otherwise: what is as near as this may be equal.
ROUNDING = 1e-5


def answer(
    view: ListsView,
    queries: Floats,
    request: Request,
    *,
    admitted: NDArray[np.bool_] | None = None,
) -> list[Hit]:
    """The hits of queries (Q, D), unit rows, as `Scan.hits` gives them for all moments.

    `admitted` is what `admitted_contents` says of the request, where that is known.
    """
    if admitted is None and not view.is_narrowed:
        admitted = admitted_contents(view, request)
    contents = np.flatnonzero(view.counts if admitted is None else admitted)
    total = int(view.counts[contents].sum())
    wanted = view.scanned if admitted is None else view.wanted(total)
    most = max(wanted, ROWS_PER_HIT * request.k)
    exact = EXACT_FILTERED_ROWS if request.is_filtered else EXACT_ROWS
    if total <= max(exact, ROWS_PER_HIT * request.k):
        return Scan(view.gallery(contents), is_admitted=True).hits(queries, request)
    pick = _moments if request.moments else _videos
    while True:
        seen = look(view, queries, admitted, most=most, k=request.k)
        hits = pick(view, seen, queries, request, most_contents=len(contents))
        if hits is not None:
            return hits
        most *= MORE_ROWS


def _videos(
    view: ListsView, seen: SeenRows, queries: Floats, request: Request, *, most_contents: int
) -> list[Hit] | None:
    """The hits among what was seen; None if more has to be seen."""
    order = np.argsort(seen.contents, kind="stable")
    starts = np.flatnonzero(np.diff(seen.contents[order], prepend=-1))
    best = np.maximum.reduceat(seen.scores[:, order], starts, axis=1).mean(axis=0)
    share = 1 if len(queries) == 1 else CONTENTS_PER_HIT
    wanted = min(share * request.k, len(best))
    least = np.partition(best, len(best) - wanted)[len(best) - wanted] - ROUNDING
    is_worth = np.repeat(best >= least, np.diff(starts, append=len(order)))
    rows = _best_rows(seen, order[is_worth])
    hits = Scan(gallery_of_rows(view, seen, rows), is_admitted=True).hits(queries, request)
    # Where a few long videos fill the lists near to the query, others are further away.
    is_enough = len(best) >= min(CONTENTS_PER_HIT * request.k, most_contents)
    if seen.is_all or (len(hits) == request.k and is_enough):
        return hits
    return hits if _is_all_above(request, len(hits), wanted) else None


def _best_rows(seen: SeenRows, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of these places, those with the best score of a content for some query."""
    _, starts = np.unique(seen.contents[places], return_index=True)
    scores = seen.scores[:, places]
    best = np.repeat(
        np.maximum.reduceat(scores, starts, axis=1),
        np.diff(starts, append=len(places)),
        axis=1,
    )
    return places[(scores >= best - ROUNDING).any(axis=0)]


def _moments(
    view: ListsView, seen: SeenRows, queries: Floats, request: Request, *, most_contents: int
) -> list[Hit] | None:
    """The distinct moments among what was seen; None if more has to be seen."""
    del most_contents
    single = seen.scores.max(axis=0)
    order = np.argsort(-single, kind="stable")
    looked_at = MOMENTS_PER_HIT * request.k
    while True:
        contents = np.unique(seen.contents[order[:looked_at]]).astype(np.int64)
        hits = Scan(view.gallery(contents), is_admitted=True).hits(queries, request)
        is_end = looked_at >= len(order)
        beyond = -np.inf if is_end else float(single[order[looked_at]])
        if len(hits) == request.k and hits[-1].score >= beyond:
            return hits
        if request.min_score is not None and beyond < request.min_score and not is_end:
            return hits
        if is_end:
            return hits if seen.is_all else None
        looked_at *= MORE_ROWS


def _is_all_above(request: Request, found: int, candidates: int) -> bool:
    return request.min_score is not None and found < candidates


def admitted_contents(view: ListsView, request: Request) -> NDArray[np.bool_] | None:
    """Which contents have an admitted file; None for all."""
    if not request.is_filtered:
        return None
    catalog = view.catalog
    if request.paths is None:
        paths = catalog.under(request.under) if request.under is not None else ()
    else:
        paths = catalog.named(path for path in request.paths if request.admits(path))
    admitted = np.zeros(len(catalog), dtype=bool)
    admitted[catalog.path_contents[paths]] = True
    return admitted


def sample_of(view: ListsView, *, most: int) -> Gallery:
    """About `most` moments of contents evenly spread."""
    share = most / max(1, view.num_moments)
    count = max(1, round(share * len(view.catalog)))
    return view.gallery(spread_over(len(view.catalog), count))
