"""Lists of what a filter admits, in memory: what a search below it looks at, and nothing else.

Rows that a filter admits lie scattered over the lists of all, and a search reads them one by one.
In lists of their own they are neighbours, and how many there are in each list is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.calibrating import Reach
from tempme.index.lists.catalog import IN_MEMORY
from tempme.index.lists.half import BLOCK, RowBlock, factor_of, widened
from tempme.index.lists.part import rows_between
from tempme.index.lists.view import ELSEWHERE, ListsView
from tempme.index.moments import Gallery

Floats = NDArray[np.float32]


class PartInMemory:
    """Moments of some contents, list by list, as `ListsPart` has them on disk.

    `gallery` are the moments, and `lists` (N,) the list of each; there are `count` lists.
    """

    def __init__(self, gallery: Gallery, lists: NDArray[np.int64], *, count: int) -> None:
        order = np.argsort(lists, kind="stable")
        self.owner = gallery.owner[order].astype(np.int32)
        self.spans = gallery.spans[order]
        self.position = np.empty(len(order), dtype=np.int32)
        self.position[order] = np.arange(len(order), dtype=np.int32)
        self.first = np.append(gallery.first, len(gallery))
        self.bounds = np.append(0, np.cumsum(np.bincount(lists, minlength=count)))
        self._features = gallery.features[order]
        self.norms = np.empty(len(order), dtype=np.float32)
        for start in range(0, len(order), BLOCK):
            rows = widened(self._features[start : start + BLOCK])
            self.norms[start : start + BLOCK] = np.linalg.norm(rows, axis=1).clip(1e-6)

    def __len__(self) -> int:
        return len(self.owner)

    def rows_in(self, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows in these lists, list by list."""
        return rows_between(self.bounds, lists)

    def products_in(self, lists: NDArray[np.int64], queries: Floats) -> Floats:
        """Queries (Q, D) -> products (Q, n) with the rows in these lists."""
        return self._products(self.rows_in(lists), queries)

    def products_of(
        self, lists: NDArray[np.int64], counts: NDArray[np.int64], queries: Floats
    ) -> Floats:
        """Products (Q, n) with the rows at the places `counts` of `rows_in(lists)`."""
        return self._products(self.rows_in(lists)[counts], queries)

    def features_at(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """The features (n, D) of these rows."""
        return self._features[rows]

    def _products(self, rows: NDArray[np.int64], queries: Floats) -> Floats:
        found = np.empty((len(rows), len(queries)), dtype=np.float32)
        factor, block = factor_of(queries), RowBlock(self._features.shape[1])
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            room = block.rows[: len(some)]
            np.take(self._features, some, axis=0, out=room, mode="clip")
            block.multiply(room, factor, out=found[start : start + len(some)])
        return found.T


def narrowed(view: ListsView, admitted: NDArray[np.bool_]) -> ListsView:
    """The same lists with the moments of the `admitted` contents alone, all of them in memory.

    A search of it looks as far as one of `view` that admits them. Unusable where they are damaged.
    """
    contents = np.flatnonzero(admitted)
    in_parts = contents[view.catalog.parts[contents] != IN_MEMORY]
    gallery = view.gallery(in_parts)
    part = PartInMemory(gallery, _lists_of(view, in_parts), count=len(view.tree.centres))
    newest = contents[view.catalog.parts[contents] == IN_MEMORY]
    parts = np.full(len(view.catalog), ELSEWHERE, dtype=np.int32)
    places = np.zeros(len(view.catalog), dtype=np.int32)
    for number, those in ((0, in_parts), (IN_MEMORY, newest)):
        parts[those], places[those] = number, np.arange(len(those))
    total = int(view.counts[contents].sum())
    beyond = view.reach.beyond
    return ListsView(
        replace(view.catalog, parts=parts, places=places),
        view.tree,
        (part,),
        memory=view.gallery(newest),
        left_out=view.left_out,
        reach=Reach(
            rows=view.wanted(total),
            parts=view.reach.parts,
            recall=view.reach.recall,
            beyond=beyond and replace(beyond, most=beyond.most_filtered),
        ),
        grown_from=max(1, total),
        is_narrowed=True,
    )


def _lists_of(view: ListsView, contents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The list of each moment of these contents, in the order of `view.gallery`."""
    lists = np.empty(int(view.counts[contents].sum()), dtype=np.int64)
    owner_parts = np.repeat(view.catalog.parts[contents], view.counts[contents])
    for number, part in enumerate(view.parts):
        mine = contents[view.catalog.parts[contents] == number]
        places = view.catalog.places[mine]
        rows = part.position[rows_between(part.first, places)]
        lists[owner_parts == number] = np.searchsorted(part.bounds, rows, side="right") - 1
    return lists
