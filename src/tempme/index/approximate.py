"""Searches by the own index of a store that has one: an exact scan of what that finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Hit
from tempme.index.search import Request, Scan
from tempme.index.stores.store import Store

# How many moments the approximate index is asked for per hit wanted: a video has many.
CANDIDATES_PER_HIT = 20
MORE_CANDIDATES = 8
# Of what an index finds for one query, so many videos per hit: rounding may swap neighbours.
SPARE = 2


def search_approximately(store: Store, queries: NDArray[np.float32], request: Request) -> list[Hit]:
    """Candidates from the store's index, then exact scores of all moments of those videos.

    Files to stay among are a filter, and filters are exact: their moments are scanned. Where the
    nearest moments are those of few videos, more are asked for, in the end all. For one query the
    k best hits are of the k videos with the nearest moments, so no more than twice as many are
    looked at: features are what a server takes longest to send.
    """
    if request.is_filtered:
        return Scan(store.gallery(_admitted_contents(store, request))).hits(queries, request)
    wanted, all_moments = request.k * CANDIDATES_PER_HIT, store.num_moments()
    while wanted < all_moments:
        found = dict.fromkeys(name for query in queries for name in store.nearest(query, wanted))
        most = None if len(queries) > 1 else SPARE * wanted // CANDIDATES_PER_HIT
        candidates = list(found)[:most]
        hits = Scan(store.gallery(candidates)).hits(queries, request)
        is_all_above = request.min_score is not None and len(hits) < len(candidates)
        if len(hits) == request.k or is_all_above:
            return hits
        wanted *= MORE_CANDIDATES
    return Scan(store.gallery()).hits(queries, request)


def _admitted_contents(store: Store, request: Request) -> Sequence[str]:
    return sorted({video.digest for video in store.videos() if request.admits(video.path)})
