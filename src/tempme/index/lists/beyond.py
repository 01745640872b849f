"""What a search misses by looking no further: how many better rows the other lists may have.

A filter may leave the topics that a query is not about: then what is nearest is hardly nearer than
anything, and lies anywhere. The score of a row in a list with the centre c is taken as a normal
number about `slope` * q.c with the deviation `spread`, both measured; so the rows of a list that
are above what was found is a matter of its size and of q.c. Looking ends once all lists together
are expected to have no more than so many of them as recall has shown to bear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Beyond:
    """Scores by the centre of their list, and how many better ones may be left unseen.

    `most` of a search of all moments, `most_filtered` of some.
    """

    slope: float
    spread: float
    most: float
    most_filtered: float

    def num_lists(
        self, near: Floats, sizes: NDArray[np.float64], least: float, *, is_filtered: bool
    ) -> int:
        """Into how many of the lists (L,), in their order, a search has to look."""
        left = expected(self.slope, self.spread, near, sizes, np.array([least], dtype=np.float32))
        return int(np.count_nonzero(left > (self.most_filtered if is_filtered else self.most)))


def expected(
    slope: float, spread: float, near: Floats, sizes: NDArray[np.float64], least: Floats
) -> NDArray[np.float64]:
    """Rows above `least` (..., 1) in lists of these sizes and cosines with the query (..., L).

    The lists are in the order in which they are looked into; the number is that of a list and of
    all after it.
    """
    above: NDArray[np.float64] = sizes * _upper_tail((least - slope * near) / spread)
    return np.flip(np.flip(above, axis=-1).cumsum(axis=-1), axis=-1)


def fitted(scores: Floats, near: Floats) -> tuple[float, float]:
    """Slope and spread of scores (...) by the cosines of the query with the centres (...)."""
    slope = float((scores * near).sum() / max(1e-6, float((near * near).sum())))
    return slope, max(1e-4, float(np.std(scores - slope * near)))


def _upper_tail(z: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The chance of a normal number to be above z, to some hundredths (Birnbaum's bound)."""
    far = np.abs(z).astype(np.float64)
    tail = np.exp(-far * far / 2) * np.sqrt(2 / np.pi) / (far + np.sqrt(far * far + 8 / np.pi))
    chance: NDArray[np.float64] = np.where(z > 0, tail, 1 - tail)
    return chance
