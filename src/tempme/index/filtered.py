"""Searches by lists, with what a filter admits kept in memory once the filter is used again.

What a filter admits lies scattered over the lists, so that a search reads its rows one by one, some
thousand times, and in a busy process waits after each of them. People refine a search below one
filter; so it is kept as soon as its searches have read as many rows as it takes to keep it. Few
rows are then all compared, which misses nothing; of many, lists of their own are made.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.answers import EXACT_FILTERED_ROWS, admitted_contents, answer
from tempme.index.lists.narrowed import narrowed
from tempme.index.lists.view import ListsView
from tempme.index.moments import Hit
from tempme.index.search import Asked, Request, Scan

# Of all filters together, rows in half precision: 250 MB of 512 numbers each. A scan has singles
# beside them.
KEPT_ROWS, ROWS_OF_SCAN = 250_000, 3
# Bytes beside them for each content of the index, whether it is admitted or not: that it is, and of
# lists also where it lies (8), how many moments it has (8), and that it was held against its sum.
CONTENT_BYTES_OF_SCAN, CONTENT_BYTES_OF_LISTS = 1, 18
HALF_BYTES = 2
REMEMBERED_FILTERS = 64
# To find the nearest lists and the best in them takes as long as to compare so many rows, and one
# for each list.
ROWS_OF_LOOKING = EXACT_FILTERED_ROWS


@dataclass(eq=False)
class _Filter:
    """A filter that was used: the contents and moments that it admits, and how many rows its
    searches have read so far; `kept` is what they look at in memory, and takes the room of
    `rows_kept`.
    """

    admitted: NDArray[np.bool_]
    num_moments: int
    num_read: int = 0
    kept: Scan | ListsView | None = None
    rows_kept: int = 0


class FilteredScans:
    """Answers by way of lists, and from what is in memory of filters. Safe to use from threads."""

    def __init__(
        self, *, most_rows: int = KEPT_ROWS, rows_of_looking: int = ROWS_OF_LOOKING
    ) -> None:
        self._most, self._rows_of_looking = most_rows, rows_of_looking
        self._view: ListsView | None = None
        self._filters: OrderedDict[Hashable, _Filter] = OrderedDict()
        self._lock, self._keeping = threading.Lock(), threading.Lock()

    def answer_all(self, view: ListsView, asked: Sequence[Asked]) -> list[list[Hit]]:
        """The hits of several searches; those of one filter that is scanned go together."""
        hits: list[list[Hit]] = [[] for _ in asked]
        together: dict[int, tuple[Scan, list[int]]] = {}
        for place, one in enumerate(asked):
            known = self._filter_of(view, one.request)
            kept = None if known is None else known.kept
            if isinstance(kept, Scan):
                together.setdefault(id(kept), (kept, []))[1].append(place)
            elif kept is not None:
                hits[place] = answer(kept, one.queries, one.request)
            else:
                admitted = None if known is None else known.admitted
                hits[place] = answer(view, one.queries, one.request, admitted=admitted)
        for scan, places in together.values():
            found = scan.hits_of_all([asked[place] for place in places])
            for place, those in zip(places, found, strict=True):
                hits[place] = those
        return hits

    def num_kept(self) -> int:
        """How many moments are in memory."""
        with self._lock:
            return sum(one.num_moments for one in self._filters.values() if one.kept is not None)

    def _filter_of(self, view: ListsView, request: Request) -> _Filter | None:
        """What is known of a filter, brought into memory if that pays; None without one."""
        if not request.is_filtered:
            return None
        key = (request.under, request.paths)
        with self._lock:
            if self._view is not view:
                self._view = view
                self._filters.clear()
            known = self._filters.get(key)
        # Looked up, and read, without the lock: others need not wait for it.
        known = known or _new_filter(view, request)
        if known.kept is None and self._pays(view, known):
            known = self._kept(view, key, known)
        if known.kept is None:
            known.num_read += _rows_read(view, known)
        with self._lock:
            self._remember(view, key, known)
        return known

    def _is_scanned(self, view: ListsView, num_moments: int) -> bool:
        """Whether comparing all of so many takes no longer than looking into lists of them."""
        looking = len(view.tree.centres) + self._rows_of_looking
        return num_moments <= view.wanted(num_moments) + looking

    def _rows_to_keep(self, view: ListsView, num_moments: int) -> int:
        """The room that a filter takes once it is kept, with what lies beside its features."""
        is_scanned = self._is_scanned(view, num_moments)
        weight = ROWS_OF_SCAN if is_scanned else 1
        each = CONTENT_BYTES_OF_SCAN if is_scanned else CONTENT_BYTES_OF_LISTS
        row_bytes: int = HALF_BYTES * view.tree.centres.shape[1]
        return num_moments * weight + math.ceil(each * len(view.catalog) / row_bytes)

    def _pays(self, view: ListsView, known: _Filter) -> bool:
        """Whether its searches have read as much as it takes to keep it, and there is room."""
        is_room = self._rows_to_keep(view, known.num_moments) <= self._most
        return is_room and known.num_read >= max(1, known.num_moments)

    def _kept(self, view: ListsView, key: Hashable, known: _Filter) -> _Filter:
        """The same, kept; as it was while something else is brought into memory: that takes more
        room for a moment than what stays."""
        if not self._keeping.acquire(blocking=False):
            return known
        try:
            with self._lock:
                newest = self._filters.get(key)
            if self._view is view and newest is not None and newest.kept is not None:
                return newest  # by another search meanwhile
            kept: Scan | ListsView
            if self._is_scanned(view, known.num_moments):
                kept = Scan(view.gallery(np.flatnonzero(known.admitted)), is_admitted=True)
            else:
                kept = narrowed(view, known.admitted)
            rows_kept = self._rows_to_keep(view, known.num_moments)
            new = replace(known, kept=kept, rows_kept=rows_kept)
            with self._lock:
                self._remember(view, key, new)
            return new
        finally:
            self._keeping.release()

    def _remember(self, view: ListsView, key: Hashable, known: _Filter) -> None:
        """The newest use is the last; what was used longest ago is let go where room is short."""
        if self._view is not view:
            return
        has_more = (before := self._filters.get(key)) is not None and before.kept is not None
        if known.kept is not None or not has_more:
            self._filters[key] = known
        self._filters.move_to_end(key)
        while len(self._filters) > REMEMBERED_FILTERS:
            self._filters.popitem(last=False)
        room = self._most - sum(one.rows_kept for one in self._filters.values())
        for one in self._filters.values():
            if room >= 0:
                return
            room += one.rows_kept
            # What it takes to keep it is to be read anew.
            one.kept, one.rows_kept, one.num_read = None, 0, 0


def _new_filter(view: ListsView, request: Request) -> _Filter:
    admitted = admitted_contents(view, request)
    assert admitted is not None  # it is asked of filters alone
    return _Filter(admitted, int(view.counts[admitted].sum()))


def _rows_read(view: ListsView, known: _Filter) -> int:
    """About how many rows a search of a filter reads that is not kept; at least one."""
    if known.num_moments <= EXACT_FILTERED_ROWS:
        return max(1, known.num_moments)
    return max(1, view.wanted(known.num_moments))
