"""The place of a query's own set of items among all sets: from a video to its captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.evaluation.ranks import (
    BLOCK,
    QUERIES_AT_ONCE,
    Matrix,
    Places,
    check_features,
    feature_rows,
    places,
)


def places_of_sets(
    queries: Matrix, items: Matrix, sets: Sequence[Sequence[int]], *, block: int = BLOCK
) -> Places:
    """Places of each query's own set of items; the score of a set is that of its best item.

    queries (N, D), items (M, D) features; sets[i]: the items, one or more, that are right for query
    i. What is searched are the sets: from video to text, the captions of each video. At most as
    many scores as 512 x `block` exist at a time, and the scores of 512 queries or fewer with all
    sets.
    """
    check_features(queries, items, block)
    num = len(sets)
    if num != len(queries) or not num or not all(map(len, sets)):
        raise BadSetting(f"{len(queries)} queries but {num} sets: one each, of an item or more")
    better, equal = np.zeros(num, np.intp), np.zeros(num, np.intp)
    groups = list(_sets_in_blocks(sets, block))
    at_once = max(1, min(QUERIES_AT_ONCE, QUERIES_AT_ONCE * BLOCK // num))
    for first in range(0, num, at_once):
        chosen = np.arange(first, min(first + at_once, num))
        rows = feature_rows(queries, chosen)
        scores = np.empty((len(chosen), num), rows.dtype)
        for own, members, starts in groups:
            with_items = rows @ feature_rows(items, members).astype(rows.dtype, copy=False).T
            scores[:, own] = np.maximum.reduceat(with_items, starts, axis=1)
        found = places(scores, chosen)
        better[chosen], equal[chosen] = found.better, found.equal
    return Places(better, equal)


def _sets_in_blocks(
    sets: Sequence[Sequence[int]], block: int
) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.intp]]]:
    """(which sets, their items, where each set starts among them), some `block` items at a time."""
    sizes = np.fromiter(map(len, sets), np.intp, len(sets))
    first = 0
    while first < len(sets):
        ends = np.cumsum(sizes[first:])
        last = first + max(1, int(np.searchsorted(ends, block, side="right")))
        members = np.concatenate([np.asarray(one, np.intp) for one in sets[first:last]])
        yield slice(first, last), members, np.cumsum(sizes[first:last]) - sizes[first:last]
        first = last
