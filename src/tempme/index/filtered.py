"""Searches by lists, with what a filter admits kept in memory once the filter is used again.

What a filter admits lies scattered over the lists, so that a search reads its rows one by one, some
thousand times, and in a busy process waits after each of them. People refine a search below one
filter, and an exact scan of what it admits is then faster, and misses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np

from tempme.index.lists.answers import admitted_contents, answer
from tempme.index.lists.view import ListsView
from tempme.index.moments import Hit
from tempme.index.search import EXACT_MOMENTS, Asked, Request, Scan

# Of all filters together: as many as an index without lists has in memory.
KEPT_MOMENTS = EXACT_MOMENTS
REMEMBERED_FILTERS = 64


class FilteredScans:
    """Answers by way of lists, and by scans of what filters admit. Safe to use from threads."""

    def __init__(self, *, most_moments: int = KEPT_MOMENTS) -> None:
        self._most = most_moments
        self._view: ListsView | None = None
        self._scans: OrderedDict[Hashable, Scan] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._lock = threading.Lock()

    def answer_all(self, view: ListsView, asked: Sequence[Asked]) -> list[list[Hit]]:
        """The hits of several searches; those of one filter go through its moments together."""
        hits: list[list[Hit]] = [[] for _ in asked]
        together: dict[int, tuple[Scan, list[int]]] = {}
        for place, one in enumerate(asked):
            scan = self._scan_of(view, one.request)
            if scan is None:
                hits[place] = answer(view, one.queries, one.request)
            else:
                together.setdefault(id(scan), (scan, []))[1].append(place)
        for scan, places in together.values():
            found = scan.hits_of_all([asked[place] for place in places])
            for place, those in zip(places, found, strict=True):
                hits[place] = those
        return hits

    def num_kept(self) -> int:
        """How many moments are in memory."""
        with self._lock:
            return sum(len(scan.gallery) for scan in self._scans.values())

    def _scan_of(self, view: ListsView, request: Request) -> Scan | None:
        """A scan of all that the filter admits; None for a new filter, and where it is too much."""
        if not request.is_filtered:
            return None
        key = (request.under, request.paths)
        with self._lock:
            if self._view is not view:
                self._view = view
                self._scans.clear()
                self._seen.clear()
            if (known := self._scans.get(key)) is not None:
                self._scans.move_to_end(key)
                return known
            is_new = key not in self._seen
            self._seen[key] = None
            while len(self._seen) > REMEMBERED_FILTERS:
                self._seen.popitem(last=False)
        if is_new:
            return None
        return self._kept(view, request, key)

    def _kept(self, view: ListsView, request: Request, key: Hashable) -> Scan | None:
        admitted = admitted_contents(view, request)
        if admitted is None or int(view.counts[admitted].sum()) > self._most:
            return None
        # Read without the lock: others need not wait for it.
        scan = Scan(view.gallery(np.flatnonzero(admitted)), is_admitted=True)
        with self._lock:
            if self._view is view:
                self._scans[key] = scan
                self._make_room()
        return scan

    def _make_room(self) -> None:
        while sum(len(scan.gallery) for scan in self._scans.values()) > self._most:
            self._scans.popitem(last=False)
