"""How many rows a search has to look at to find what an exact scan finds: measured, not assumed.

Queries are made of moments: with noise of any direction, and with noise of directions in which
moments differ among themselves, as words are far from what they mean and between other things.
They are compared with all moments while these pass by, and how deep in its order of lists the best
moment of each of the ten nearest videos lies is how far a search has to look. The same is measured
among parts of the videos, as a filter leaves them: the fewer there are, the further apart lie the
nearest, and the larger is the share that has to be looked at. One half of the queries says how far,
the other what recall comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.beyond import Beyond, expected
from tempme.index.lists.half import products, widened
from tempme.index.lists.spool import Spool
from tempme.index.lists.tree import Tree, units

Floats = NDArray[np.float32]
NUM_QUERIES = 128
NEAREST = 10
# Of the nearest, what share has to be found, the mean over queries, as recall is counted: that is
# promised, and a little more is aimed at, as some tens of queries know it to about half of this.
PROMISED, AIMED = 0.98, 0.99
# Of what lies further, more: filters are of another kind than the parts that it is measured with.
AIMED_BEYOND = 0.995
# A query is as near to what it is about: words are further from their moments than that, but where
# they point to is more alike. So many other moments make the noise that is like moments.
COSINE, MIXED = 0.5, 16
FEWEST_ROWS = 2048
# Shares of the videos that filters are taken to leave; of fewer than the last all are looked at.
SHARES = (1.0, 0.25, 1 / 16, 1 / 64, 1 / 256)
# Where a search below a filter stops, so many better rows than are found may be expected. Of ten,
# the most is half of a hundredth, and fewer are left where normal numbers do not tell enough.
LEAST_LEFT, MOST_LEFT = 0.001, 0.05
SEED = 1


@dataclass(frozen=True)
class Reach:
    """How far a search looks: rows of all, and the part of what a filter admits.

    `parts[i]` is the part of the rows of `SHARES[i]` of the videos; `recall` is what the rows of
    all find of the ten nearest, measured with queries that did not set them; `beyond` says when a
    search has to look further than both. None of an index of before.
    """

    rows: int
    parts: tuple[float, ...]
    recall: float | None
    beyond: Beyond | None = None

    def part(self, share: float) -> float:
        """The part of its rows to look at where a filter leaves this share of all.

        Between two shares that were measured, as a power of the share.
        """
        if share < SHARES[-1]:
            return 1.0
        measured = np.log(np.clip(self.parts[::-1], 1e-6, 1.0))
        return float(np.exp(np.interp(np.log(share), np.log(SHARES[::-1]), measured)))


def made_queries(spool: Spool) -> Floats:
    """Queries (Q, D), unit rows, that stand for those to come; the two kinds of noise by turns."""
    random = np.random.default_rng(SEED)
    chosen = np.unique(np.linspace(0, len(spool) - 1, NUM_QUERIES).astype(np.int64))
    moments = units(widened(spool.rows(chosen)))
    noise = random.standard_normal(moments.shape, dtype=np.float32)
    for place in range(0, len(moments), 2):
        signs = random.choice(np.array([-1, 1], dtype=np.float32), MIXED)
        noise[place] = signs @ moments[random.integers(0, len(moments), MIXED)]
    return units(COSINE * moments + np.sqrt(1 - COSINE**2, dtype=np.float32) * units(noise))


class Nearest:
    """The best moments of the nearest videos to some queries, of all and of some, block by block.

    `owner` (N,) are the videos of all rows that will come.
    """

    def __init__(self, queries: Floats, owner: NDArray[np.int32]) -> None:
        self.queries, self._owner = queries, owner
        count = int(owner[-1]) + 1 if len(owner) else 0
        self._places = np.random.default_rng(SEED).random(count)
        shape = len(SHARES), len(queries), NEAREST
        self._scores = np.full(shape, -np.inf, dtype=np.float32)
        self._rows = np.zeros(shape, dtype=np.int64)
        self._num_seen = 0

    def take(self, rows: NDArray[np.float16]) -> None:
        """Compare with the next rows (N, D)."""
        owner = self._owner[self._num_seen : self._num_seen + len(rows)]
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        sizes = np.diff(starts, append=len(rows))
        scores = products(self.queries, rows)
        best = np.maximum.reduceat(scores, starts, axis=1)
        numbers = np.arange(self._num_seen, self._num_seen + len(rows))
        is_best = scores == np.repeat(best, sizes, axis=1)
        best_rows = np.maximum.reduceat(np.where(is_best, numbers, -1), starts, axis=1)
        places = self._places[owner[starts]]
        for number, share in enumerate(SHARES):
            mine = places < share
            self._keep(number, best[:, mine], best_rows[:, mine])
        self._num_seen += len(rows)

    def _keep(self, number: int, scores: Floats, rows: NDArray[np.int64]) -> None:
        scores = np.concatenate([self._scores[number], scores], axis=1)
        rows = np.concatenate([self._rows[number], rows], axis=1)
        kept = np.argpartition(-scores, NEAREST - 1, axis=1)[:, :NEAREST]
        self._scores[number] = np.take_along_axis(scores, kept, axis=1)
        self._rows[number] = np.take_along_axis(rows, kept, axis=1)

    def reach(self, tree: Tree, lists: NDArray[np.int32], fit: tuple[float, float]) -> Reach:
        """How far a search has to look in lists of this tree, `lists` (N,) being those of rows.

        `fit` is the slope and the spread of scores by the centres of their lists.
        """
        near = self.queries @ tree.centres.T
        order = np.argsort(-near, axis=1)
        near = np.take_along_axis(near, order, axis=1)
        depths, parts, left, beyond_it = [], [], [], []
        for number, share in enumerate(SHARES):
            admitted = lists[self._places[self._owner] < share]
            sizes = np.bincount(admitted, minlength=order.shape[1])[order]
            found_in = lists[self._rows[number]]
            places = np.take_along_axis(np.argsort(order, axis=1), found_in, axis=1)
            depths.append(self._depths(number, sizes, places))
            parts.append(_within(depths[-1], AIMED) / max(1, len(admitted)))
            left.append(self._left(number, near, sizes, places, fit))
            # What is seen before a search thinks of looking beyond does not tell how far to look:
            # of hardly more videos, it would look no further than in the part for these.
            begun = max(FEWEST_ROWS, parts[max(0, number - 1)] * len(admitted))
            is_found = (depths[-1] <= begun)[np.isfinite(depths[-1]).all(axis=1)]
            beyond_it.append(np.where(is_found, 1.0, left[-1]))
        setting = np.arange(len(self.queries)) // 2 % 2 == 0  # with both kinds of noise
        rows = max(FEWEST_ROWS, _within(depths[0][setting], AIMED))
        told = depths[0][~setting]
        recall = float((told[np.isfinite(told)] <= rows).mean()) if np.isfinite(told).any() else 1.0
        if recall < PROMISED:
            rows = max(rows, _within(depths[0], AIMED))
        filtered = min(_least_left(one, AIMED_BEYOND) for one in beyond_it)
        beyond = Beyond(*fit, _least_left(left[0], AIMED), min(MOST_LEFT, filtered))
        return Reach(int(min(rows, len(lists))), tuple(parts), recall, beyond)

    def _depths(
        self, number: int, sizes: NDArray[np.int64], places: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """With how many rows each of the nearest (Q, 10) is seen; NaN where there are fewer."""
        depths = np.take_along_axis(np.cumsum(sizes, axis=1), places, axis=1).astype(np.float64)
        depths[~np.isfinite(self._scores[number])] = np.nan
        return depths

    def _left(
        self,
        number: int,
        near: Floats,
        sizes: NDArray[np.int64],
        places: NDArray[np.int64],
        fit: tuple[float, float],
    ) -> NDArray[np.float64]:
        """How many better rows are expected from the list of each of the nearest on (Q, 10)."""
        least = self._scores[number].min(axis=1, keepdims=True)
        is_whole = np.isfinite(least[:, 0])
        left = expected(*fit, near[is_whole], sizes[is_whole].astype(np.float64), least[is_whole])
        return np.take_along_axis(left, places[is_whole], axis=1)


def _least_left(left: NDArray[np.float64], share: float) -> float:
    """How many better rows may be left for this share of the nearest to be found."""
    most = float(np.quantile(left, 1 - share, method="lower")) if left.size else 1.0
    return min(1.0, max(LEAST_LEFT, most))


def _within(depths: NDArray[np.float64], share: float) -> float:
    """So many rows that this share of what is looked for is among them."""
    known = depths[np.isfinite(depths)]
    return float(np.quantile(known, share, method="higher")) if len(known) else 0.0
