"""Where the lists lie: two levels of spherical k-means, as one of thousands of lists is slow.

Some tens of cells divide the features, and each cell is divided into lists by its own. A row goes
to the nearest list of the cells nearest to it, which is nearly always the nearest list of all, at a
tenth of the products.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.half import widened

Floats = NDArray[np.float32]
LISTS_PER_ROOT = 4
MOST_LISTS = 16384
ROWS_PER_LIST = 40
ROWS_PER_CELL = 256
ROUNDS = 8
CELLS_LOOKED_AT = 4
BLOCK = 8192
SEED = 0


@dataclass(frozen=True, eq=False)
class Tree:
    """Centres of cells (C, D) and of lists (L, D), unit rows; `first` (C + 1): lists of a cell."""

    cells: Floats
    centres: Floats
    first: NDArray[np.int64]

    def assign(self, rows: NDArray[np.float16]) -> NDArray[np.int32]:
        """The list of each row."""
        blocks = range(0, len(rows), BLOCK)
        parts = [self._assigned(widened(rows[start : start + BLOCK])) for start in blocks]
        return np.concatenate([np.zeros(0, np.int32), *parts])

    def _assigned(self, rows: Floats) -> NDArray[np.int32]:
        lists = np.zeros(len(rows), dtype=np.int32)
        best = np.full(len(rows), -np.inf, dtype=np.float32)
        near = np.argsort(-(rows @ self.cells.T), axis=1)[:, :CELLS_LOOKED_AT]
        for of_cell in near.T:
            for cell, members in _grouped(of_cell, len(self.cells)):
                start, stop = self.first[cell : cell + 2]
                scores = rows[members] @ self.centres[start:stop].T
                place = scores.argmax(axis=1)
                found = scores[np.arange(len(members)), place]
                is_better = found > best[members]
                best[members[is_better]] = found[is_better]
                lists[members[is_better]] = start + place[is_better]
        return lists


def num_lists(num_rows: int) -> int:
    """About four times the square root: looking for lists then costs as much as looking in them."""
    wanted = LISTS_PER_ROOT * math.sqrt(max(1, num_rows))
    return int(min(MOST_LISTS, max(1, num_rows // 4), 2 ** round(math.log2(max(1.0, wanted)))))


def sample_size(num_rows: int, lists: int) -> int:
    """Of how many rows a tree with so many lists is grown."""
    return min(num_rows, ROWS_PER_LIST * lists)


def grow(sample: NDArray[np.float16], lists: int) -> Tree:
    """A tree with about so many lists from rows (N, D) that stand for all; the same every time."""
    random = np.random.default_rng(SEED)
    rows = units(widened(sample))
    rows = rows[random.permutation(len(rows))]
    num_cells = max(1, round(math.sqrt(lists)))
    cells = _k_means(rows[: ROWS_PER_CELL * num_cells], num_cells, random)
    centres = []
    for _, members in _grouped(_nearest(rows, cells), len(cells), with_empty=True):
        share = max(1, round(lists * len(members) / len(rows)))
        centres.append(_k_means(rows[members], share, random))
    is_used = np.array([len(part) > 0 for part in centres])
    first = np.cumsum([0, *(len(part) for part in centres if len(part))])
    return Tree(cells[is_used], np.concatenate(centres), first.astype(np.int64))


def _k_means(rows: Floats, count: int, random: np.random.Generator) -> Floats:
    """At most `count` centres, unit rows; none of no rows."""
    centres = rows[random.permutation(len(rows))[:count]].copy()
    for _ in range(ROUNDS if len(centres) > 1 else 1):
        nearest = _nearest(rows, centres) if len(rows) else np.zeros(0, np.int64)
        for place, members in _grouped(nearest, len(centres)):
            centres[place] = rows[members].sum(axis=0)
        centres = units(centres)
    return centres


def _nearest(rows: Floats, centres: Floats) -> NDArray[np.int64]:
    blocks = range(0, len(rows), BLOCK)
    return np.concatenate([(rows[start : start + BLOCK] @ centres.T).argmax(1) for start in blocks])


def _grouped(
    groups: NDArray[np.int64], count: int, *, with_empty: bool = False
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each group and its members, in order."""
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(count + 1))
    for group in range(count):
        if with_empty or bounds[group] < bounds[group + 1]:
            yield group, order[bounds[group] : bounds[group + 1]]


def units(rows: Floats) -> Floats:
    """Rows (N, D) of length 1."""
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)
    return rows / lengths
