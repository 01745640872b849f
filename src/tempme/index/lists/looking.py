"""A look into the lists nearest to a query, and at everything that no list has yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.catalog import IN_MEMORY, PathsOf
from tempme.index.lists.half import products, widened
from tempme.index.lists.part import PartRows
from tempme.index.lists.view import ListsView
from tempme.index.moments import Gallery

Floats = NDArray[np.float32]
# Where more than this share of the rows counts, it takes no longer to compare with all of them.
MOST_OF_A_LIST = 0.75
# Several queries are windows of one video, which lie in much the same lists.
MOST_SHARES = 6
# Rows among which the k nearest contents are looked for, for each of them.
ROWS_OF_BEST = 64


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Rows that were looked at: row `rows[i]` of part `parts[i]` is a moment of `contents[i]`.

    `scores` (Q, n) are the cosines of the queries with them, `is_all` whether none is left.
    """

    contents: NDArray[np.int32]
    parts: NDArray[np.int32]
    rows: NDArray[np.int64]
    scores: Floats
    is_all: bool

    def __len__(self) -> int:
        return len(self.contents)


def look(
    view: ListsView, queries: Floats, admitted: NDArray[np.bool_] | None, *, most: int, k: int
) -> SeenRows:
    """Look at about `most` rows of admitted contents (None: all), list by list from the nearest.

    One query looks further where other lists may have better rows than those of its k nearest.
    """
    pieces, seen, begin = [_in_memory(view, queries, admitted)], 0, 0
    wanted = most * min(len(queries), MOST_SHARES)
    order, near = _nearest_lists(view, queries)
    ends = np.cumsum(view.sizes[order])
    share = 1.0 if admitted is None else view.share(admitted)
    is_far = len(queries) > 1 or view.reach.beyond is None
    while begin < len(order) and (seen < wanted or not is_far):
        # As many lists as will hold what is wanted, if what counts is spread evenly over them.
        rows = (ends[begin - 1] if begin else 0) + (wanted - seen) / share
        end = max(begin, int(np.searchsorted(ends, rows))) + 1
        if seen >= wanted:
            end, is_far = (
                begin + _further(view, order[begin:], near[begin:], share, pieces, k),
                True,
            )
        for piece in _in_lists(view, queries, admitted, np.sort(order[begin:end])):
            pieces.append(piece)
            seen += len(piece)
        begin = end
    return SeenRows(
        contents=np.concatenate([piece.contents for piece in pieces]),
        parts=np.concatenate([piece.parts for piece in pieces]),
        rows=np.concatenate([piece.rows for piece in pieces]),
        scores=np.concatenate([piece.scores for piece in pieces], axis=1),
        is_all=begin >= len(order),
    )


def gallery_of_rows(view: ListsView, seen: SeenRows, chosen: NDArray[np.int64]) -> Gallery:
    """The rows that were `chosen` of those seen, as a gallery of their contents."""
    chosen = chosen[np.lexsort((seen.rows[chosen], seen.parts[chosen], seen.contents[chosen]))]
    contents, owner = np.unique(seen.contents[chosen], return_inverse=True)
    features = np.empty((len(chosen), view.memory.features.shape[1]), dtype=np.float16)
    spans = np.empty((len(chosen), 2))
    for number in np.unique(seen.parts[chosen]).tolist():
        mine = np.flatnonzero(seen.parts[chosen] == number)
        rows = seen.rows[chosen[mine]]
        if number == IN_MEMORY:
            features[mine], spans[mine] = view.memory.features[rows], view.memory.spans[rows]
        else:
            features[mine] = view.parts[number].features_at(rows)
            spans[mine] = view.parts[number].spans[rows]
    order = np.lexsort((spans[:, 0], owner))
    return Gallery(
        contents=tuple(view.catalog.digest(int(content)) for content in contents),
        paths=PathsOf(view.catalog, contents),
        owner=owner[order],
        spans=spans[order],
        features=features[order],
    )


def _further(
    view: ListsView,
    lists: NDArray[np.int64],
    near: Floats,
    share: float,
    pieces: Sequence[SeenRows],
    k: int,
) -> int:
    """Into how many more of these lists to look, of the rows in which such a share is admitted."""
    if view.reach.beyond is None or not len(lists):
        return 0
    scores = np.concatenate([piece.scores[0] for piece in pieces])
    best = np.argsort(-scores)[: ROWS_OF_BEST * k]
    contents = np.concatenate([piece.contents for piece in pieces])[best]
    _, first = np.unique(contents, return_index=True)
    if len(first) < k:
        return len(lists)
    least = float(scores[best[np.sort(first)[k - 1]]])
    sizes = share * view.sizes[lists]
    return view.reach.beyond.num_lists(near, sizes, least, is_filtered=share < 1)


def _nearest_lists(view: ListsView, queries: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The lists that are not empty, nearest first, and how near to a query.

    Those of several queries take turns.
    """
    near = (view.tree.centres @ queries.T).T
    order = np.argsort(-near, axis=1)
    if len(queries) > 1:
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None], axis=1)
        order = np.argsort(rank.min(axis=0), kind="stable")[None]
    nearest = order[0][view.sizes[order[0]] > 0]
    return nearest, near.max(axis=0)[nearest]


def _in_lists(
    view: ListsView, queries: Floats, admitted: NDArray[np.bool_] | None, numbers: NDArray[np.int64]
) -> Iterator[SeenRows]:
    """What counts of the rows in these lists, ascending, part by part."""
    for place, part in enumerate(view.parts):
        rows = part.rows_in(numbers)
        contents = view.owners[place][part.owner[rows]]
        counts = _counting(view, contents, admitted)
        if counts is None:
            scores = part.products_in(numbers, queries)
        else:
            scores = _products(part, numbers, rows, counts, queries)
            rows, contents = rows[counts], contents[counts]
        scores /= part.norms[rows]
        yield SeenRows(contents, np.full(len(rows), place, np.int32), rows, scores, is_all=False)


def _counting(
    view: ListsView, contents: NDArray[np.int32], admitted: NDArray[np.bool_] | None
) -> NDArray[np.int64] | None:
    """Which of the rows with these contents count; None for all."""
    if admitted is None:
        if not view.num_dead:
            return None
        counts = contents >= 0
    else:
        counts = admitted[contents] & (contents >= 0)
    return None if counts.all() else np.flatnonzero(counts)


def _products(
    part: PartRows,
    numbers: NDArray[np.int64],
    rows: NDArray[np.int64],
    counts: NDArray[np.int64],
    queries: Floats,
) -> Floats:
    """Products (Q, n) with those of the `rows` in these lists that count."""
    if len(counts) > MOST_OF_A_LIST * len(rows):
        return part.products_in(numbers, queries)[:, counts]
    return part.products_of(numbers, counts, queries)


def _in_memory(view: ListsView, queries: Floats, admitted: NDArray[np.bool_] | None) -> SeenRows:
    contents = view.in_memory[view.memory.owner].astype(np.int32)
    rows = np.arange(len(contents))
    if admitted is not None:
        rows = np.flatnonzero(admitted[contents])
    features = view.memory.features[rows]
    norms = np.linalg.norm(widened(features), axis=1).clip(1e-6)
    scores = products(queries, features) / norms
    parts = np.full(len(rows), IN_MEMORY, dtype=np.int32)
    return SeenRows(contents[rows], parts, rows, scores, is_all=False)
