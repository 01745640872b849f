"""How many rows a search has to look at to find what an exact scan finds: measured, not assumed.

Some moments, with noise added, are compared with all others while these pass by. How deep in its
order of lists the best moment of each of the ten nearest videos lies is how far a search has to
look. Where features lie so that this is far, recall is lower than asked for: time is bounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.half import products, widened
from tempme.index.lists.spool import Spool
from tempme.index.lists.tree import Tree, units

Floats = NDArray[np.float32]
NUM_QUERIES = 64
NEAREST = 10
# Of the nearest, what share has to be found: the mean over queries, as recall is counted.
RECALL = 0.99
# Of all rows, what a search looks at at most.
MOST_SHARE = 0.125
# A query is as near to what it is about: words are further from their moments than that, but where
# they point to is more alike.
COSINE = 0.5
FEWEST_ROWS = 2048
SEED = 1


def noisy_moments(spool: Spool) -> Floats:
    """Queries (Q, D), unit rows, that stand for those to come."""
    random = np.random.default_rng(SEED)
    chosen = np.unique(np.linspace(0, len(spool) - 1, NUM_QUERIES).astype(np.int64))
    moments = units(widened(spool.rows(chosen)))
    noise = units(random.standard_normal(moments.shape, dtype=np.float32))
    return units(COSINE * moments + np.sqrt(1 - COSINE**2, dtype=np.float32) * noise)


class Nearest:
    """The lists of the best moments of the nearest videos to some queries, block by block."""

    def __init__(self, queries: Floats) -> None:
        self.queries = queries
        self._scores = np.full((len(queries), NEAREST), -np.inf, dtype=np.float32)
        self._lists = np.zeros((len(queries), NEAREST), dtype=np.int32)

    def take(
        self, rows: NDArray[np.float16], lists: NDArray[np.int32], owner: NDArray[np.int32]
    ) -> None:
        """Compare with more rows (N, D), which lie in these lists (N,) and are of these videos."""
        scores = products(self.queries, rows)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        best = np.maximum.reduceat(scores, starts, axis=1)
        ends = np.append(starts[1:], len(rows))
        for query, worth in enumerate(best):
            least = self._scores[query].min()
            for video in np.argsort(-worth, kind="stable")[:NEAREST].tolist():
                if worth[video] <= least:
                    break
                mine = slice(starts[video], ends[video])
                place = self._scores[query].argmin()
                self._scores[query, place] = worth[video]
                self._lists[query, place] = lists[mine][scores[query, mine].argmax()]
                least = self._scores[query].min()

    def depth(self, tree: Tree, sizes: NDArray[np.int64]) -> int:
        """How many rows have to be looked at, `sizes` (L,) being the rows of each list."""
        order = np.argsort(-(self.queries @ tree.centres.T), axis=1)
        before = np.cumsum(sizes[order], axis=1)  # rows looked at with each list
        reached = np.empty_like(before)
        np.put_along_axis(reached, order, before, axis=1)
        depths = np.take_along_axis(reached, self._lists, axis=1)[np.isfinite(self._scores)]
        deep = np.quantile(depths, RECALL) if len(depths) else 0
        return int(max(FEWEST_ROWS, min(deep, MOST_SHARE * sizes.sum())))
