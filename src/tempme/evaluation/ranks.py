"""The place of the right item among all: of a matrix of scores, or of features block by block.

Rows are queries, columns what is searched, larger is better. The rank of a query is 1 plus the
number of wrong items with a strictly better score than its best right item. What an equal score
does is a named policy (duplicated captions make exact ties in MSR-VTT):

    expected      equal ones come in random order: recall is its mean over all orders, the rank is
                  the middle one. A model that gives one answer to all is as good as chance. Default
    optimistic    equal ones come last: rank = 1 + number strictly better. A model that gives one
                  answer to all is perfect: what `(scores > right).sum()` in evaluation code counts
    pessimistic   equal ones come first
    mean          half of the equal ones come first, in recall too: Collaborative Experts (its
                  "averaging") and Frozen in Time, whose metrics are the same code
    legacy        a query enters once per equal score, at every such place: CLIP4Clip, and TempMe,
                  DGL and what else computes metrics by its code, on sets of one caption a video

Without exact ties all of them are one. Code that sorts (CLIP4Clip's on several captions a video)
leaves the order of equal ones to the sort: no policy reproduces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting

Ties: TypeAlias = Literal["expected", "optimistic", "pessimistic", "mean", "legacy"]
Targets: TypeAlias = Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer[Any]]
Array: TypeAlias = NDArray[Any]

QUERIES_AT_ONCE, BLOCK = 512, 16_384


@runtime_checkable
class TensorLike(Protocol):
    """What a torch tensor offers; named so that this file needs no torch."""

    dtype: Any

    def detach(self) -> Any:
        """The tensor without its graph."""

    def __getitem__(self, key: Any) -> Any: ...

    def __len__(self) -> int: ...


Matrix: TypeAlias = Array | TensorLike


@dataclass(frozen=True)
class Places:
    """How many wrong items are better than, and equal to, the best right item of each query."""

    better: NDArray[np.intp]
    equal: NDArray[np.intp]

    @property
    def num_tied(self) -> int:
        """Queries whose right item has the score of a wrong one."""
        return int(np.count_nonzero(self.equal))

    def ranks(self, ties: Ties = "expected") -> NDArray[np.float64]:
        """From 1; with `legacy`, one entry per equal score, so maybe more than queries."""
        if checked_ties(ties) == "legacy":
            entries = self.equal + 1
            first, starts = np.repeat(self.better, entries), np.cumsum(entries) - entries
            return (1 + first + np.arange(len(first)) - np.repeat(starts, entries)).astype(float)
        shares = {"expected": 0.5, "optimistic": 0.0, "mean": 0.5, "pessimistic": 1.0}
        return 1 + self.better + shares[ties] * self.equal

    def recall(self, k: int, ties: Ties = "expected") -> float:
        """Queries (%) whose right item is among the first `k`."""
        if ties != "expected":
            ranks = self.ranks(ties)
            return float(100 * np.count_nonzero(ranks <= k) / ranks.size)
        shares = np.clip((k - self.better) / (self.equal + 1), 0, 1)
        return float(100 * shares.sum() / shares.size)


def ranks(
    matrix: Matrix, targets: Targets | None = None, *, ties: Ties = "expected"
) -> NDArray[np.float64]:
    """The rank of each query, from 1; with `legacy`, one entry per equal score, so maybe more."""
    return places(matrix, targets).ranks(ties)


def places(matrix: Matrix, targets: Targets | None = None) -> Places:
    """How many items are before and beside the right one of each query."""
    scores = checked_matrix(matrix)
    owner, item = flat_targets(targets, *scores.shape)
    right = scores[owner, item]
    best = _best_of(right, owner, len(scores))
    better = np.count_nonzero(scores > best[:, None], axis=1)
    equal = np.count_nonzero(scores == best[:, None], axis=1)
    equal -= np.bincount(owner, right == best[owner], len(scores)).astype(np.intp)
    return Places(better, equal)


def ranks_in_blocks(
    queries: Matrix,
    gallery: Matrix,
    targets: Targets | None = None,
    *,
    block: int = BLOCK,
    ties: Ties = "expected",
) -> NDArray[np.float64]:
    """`ranks(queries @ gallery.T, targets)`, as `places_in_blocks`."""
    return places_in_blocks(queries, gallery, targets, block=block).ranks(ties)


def places_in_blocks(
    queries: Matrix, gallery: Matrix, targets: Targets | None = None, *, block: int = BLOCK
) -> Places:
    """`places(queries @ gallery.T, targets)` of (N, D) and (M, D) features, without the matrix.

    At most 512 x `block` scores and `block` gallery rows in fp32 exist at a time, so a gallery of
    millions may be a memory map. The right items are scored by the very products that the others
    are compared in: a lone dot product would differ in its last bit and turn ties into losses.
    """
    check_features(queries, gallery, block)
    owner, item = flat_targets(targets, len(queries), len(gallery))
    better = np.zeros(len(queries), np.intp)
    equal = np.zeros(len(queries), np.intp)
    for chosen in _chunks_by_target(owner, item, len(queries)):
        rows = feature_rows(queries, chosen)
        mine = np.isin(owner, chosen)
        own = np.searchsorted(chosen, owner[mine])
        right = _right_scores(rows, gallery, own, item[mine], block)
        best = _best_of(right, own, len(chosen))
        for _, scores in _score_blocks(rows, gallery, range(0, len(gallery), block), block):
            better[chosen] += np.count_nonzero(scores > best[:, None], axis=1)
            equal[chosen] += np.count_nonzero(scores == best[:, None], axis=1)
        equal[chosen] -= np.bincount(own, right == best[own], len(chosen)).astype(np.intp)
    return Places(better, equal)


def checked_ties(ties: str) -> Ties:
    """The policy of this name."""
    for known in get_args(Ties):
        if ties == known:
            return cast(Ties, known)
    raise BadSetting(f"ties is {ties!r}; it is one of {', '.join(get_args(Ties))}")


def checked_matrix(matrix: Matrix) -> Array:
    """The matrix as an array of finite numbers."""
    scores = _as_array(matrix)
    if scores.ndim != 2 or scores.size == 0:
        raise BadSetting(
            f"the scores have shape {scores.shape}; they are a matrix of queries (rows) by items"
            " (columns), both at least one"
        )
    if scores.dtype.kind not in "biuf":
        raise BadSetting(f"the scores are of type {scores.dtype}; they are real numbers")
    if not np.isfinite(scores).all():
        bad = int(np.count_nonzero(~np.isfinite(scores).all(axis=1)))
        raise BadSetting(
            f"{bad} of {len(scores)} rows hold NaN or infinity, so their ranks mean nothing: remove"
            " the videos or texts whose features are not finite"
        )
    return scores


def flat_targets(
    targets: Targets | None, num_queries: int, num_items: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(query, right item) of every target, each once, by query."""
    if targets is None:
        if num_queries != num_items:
            raise BadSetting(
                f"{num_queries} queries (rows) and {num_items} items (columns): without targets the"
                " matrix is square; give for each query the index of its right item"
            )
        targets = np.arange(num_queries)
    if len(targets) != num_queries:
        raise BadSetting(
            f"{num_queries} queries (rows) but {len(targets)} targets; rows are the queries, so a"
            " matrix of the other direction has to be transposed"
        )
    owner, item = _flat(targets)
    if item.size and (item.min() < 0 or item.max() >= num_items):
        raise BadSetting(
            f"targets run from {item.min()} to {item.max()}, but there are {num_items} items"
            " (columns), counted from 0"
        )
    return np.divmod(np.unique(owner * num_items + item), num_items)


def _flat(targets: Targets) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if isinstance(targets, np.ndarray) and targets.ndim == 1:
        sets = list(targets[:, None])
    else:
        sets = [np.atleast_1d(np.asarray(target)) for target in targets]
    if any(one.size == 0 or not np.issubdtype(one.dtype, np.integer) for one in sets):
        raise BadSetting("each query needs one target or more, as integer indices of items")
    owner = np.repeat(np.arange(len(sets)), [one.size for one in sets])
    return owner, np.concatenate(sets).astype(np.intp) if sets else np.zeros(0, np.intp)


def _as_array(values: Any) -> Array:
    """A NumPy array, of a tensor too (any device, with or without a graph, any precision)."""
    if not isinstance(values, TensorLike):
        try:
            return np.asarray(values)
        except ValueError as error:  # rows of different lengths
            raise BadSetting(f"the scores are not a matrix: {error}") from error
    tensor = values.detach().cpu()
    return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)


def _best_of(right: Array, owner: NDArray[np.intp], num_queries: int) -> Array:
    """The best right score of each query; `owner` ascends, and each query has one or more."""
    return np.asarray(np.maximum.reduceat(right, np.searchsorted(owner, np.arange(num_queries))))


def _chunks_by_target(
    owner: NDArray[np.intp], item: NDArray[np.intp], num_queries: int
) -> Iterator[NDArray[np.intp]]:
    """Groups of queries whose targets lie near each other, so that few blocks hold them."""
    first = np.zeros(num_queries, np.intp)
    first[owner[::-1]] = item[::-1]
    order = np.argsort(first, kind="stable")
    for start in range(0, num_queries, QUERIES_AT_ONCE):
        yield np.sort(order[start : start + QUERIES_AT_ONCE])


def _right_scores(
    rows: Array, gallery: Matrix, places: NDArray[np.intp], item: NDArray[np.intp], block: int
) -> Array:
    """The score of each (query, right item), from the blocks that hold right items."""
    right = np.empty(len(item), rows.dtype)
    starts = np.unique(item // block) * block
    for start, scores in _score_blocks(rows, gallery, starts.tolist(), block):
        inside = (item >= start) & (item < start + block)
        right[inside] = scores[places[inside], item[inside] - start]
    return right


def _score_blocks(
    rows: Array, gallery: Matrix, starts: Sequence[int], block: int
) -> Iterator[tuple[int, Array]]:
    """(start, scores) of the rows with `block` items from each start on."""
    for start in starts:
        items = feature_rows(gallery, slice(start, min(start + block, len(gallery))))
        yield start, rows @ items.astype(rows.dtype, copy=False).T


def feature_rows(features: Matrix, chosen: slice | NDArray[np.intp]) -> Array:
    """Some rows, in fp32 at least, checked to be finite."""
    rows = _as_array(features[chosen])
    rows = rows.astype(np.result_type(rows.dtype, np.float32), copy=False)
    if not np.isfinite(rows).all():
        raise BadSetting("the features hold NaN or infinity: skip the videos that gave them")
    return rows


def check_features(queries: Matrix, gallery: Matrix, block: int) -> None:
    """BadSetting unless both are features of one model, and a block holds some."""
    shapes = [tuple(np.shape(queries[:1])), tuple(np.shape(gallery[:1]))]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise BadSetting(
            f"queries and gallery are (N, D) and (M, D) features of one model, but one row of each"
            f" is {shapes[0]} and {shapes[1]}"
        )
    if block < 1:
        raise BadSetting(f"block is {block}; it counts gallery rows, so at least 1")
