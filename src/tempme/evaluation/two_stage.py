"""Retrieval in two stages: features find the best `k`, and a match head looks at those again.

Li et al., ICCV 2023, arXiv 2303.16058, after ALBEF: of every query the `k` most similar items get
the score of the match head. What the others get is a named rule:

    official    -100 each. A right item outside the best k then has the rank that a reversed argsort
                happens to give it among equals, which can be a good one where the set is small
                (OpenGVLab/unmasked_teacher 4fb4049)
    behind      they stay behind all that were looked at again, in the order of the features
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempme.errors import BadSetting
from tempme.evaluation.ranks import Matrix, Targets, checked_matrix, flat_targets

# Shape letters: Q queries, M items, K of them looked at again.

CANDIDATES = 128
NOT_SEEN = -100.0

Match = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class TwoStages:
    """The similarities of a (Q, M) matrix, and what the match head said of the best of each row."""

    similarity_QM: Tensor
    places_QK: Tensor  # the items looked at again, most similar first
    scores_QK: Tensor

    @property
    def official(self) -> Tensor:
        """(Q, M) scores by the official rule."""
        empty = torch.full_like(self.similarity_QM, NOT_SEEN)
        return empty.scatter(1, self.places_QK, self.scores_QK.to(empty.dtype))

    @property
    def behind(self) -> Tensor:
        """(Q, M) fp64 scores by the rule that has no accidents."""
        similarity, scores = self.similarity_QM.double(), self.scores_QK.double()
        below = similarity - similarity.max() + scores.min() - 1
        return below.scatter(1, self.places_QK, scores)


@torch.no_grad()
def two_stages(similarity_QM: Tensor, match: Match, *, k: int | None = None) -> TwoStages:
    """Let `match` look again at the `k` best items of each query.

    `match(q, items)` gives scores (K,) of query `q` with the items (K,) int64. None is 128, or all
    items where there are fewer.
    """
    queries, items = similarity_QM.shape
    k = min(CANDIDATES, items) if k is None else k
    if not 1 <= k <= items:
        raise BadSetting(
            f"k is {k}, but a query is compared with {items} items: look again at 1 to {items}"
        )
    places = similarity_QM.sort(dim=1, descending=True, stable=True).indices[:, :k]
    scores = torch.stack([match(query, places[query]).float() for query in range(queries)])
    return TwoStages(similarity_QM, places, scores.to(similarity_QM.device))


def official_ranks(matrix: Matrix, targets: Targets | None = None) -> NDArray[np.float64]:
    """The rank of each query, from 1, as UMT counts: the place in a reversed argsort.

    Which of equals comes first is up to the library, and to the processor that it runs on: only
    where no score equals that of a right item are these ranks sure to be the same everywhere.
    """
    scores = checked_matrix(matrix)
    owner, item = flat_targets(targets, *scores.shape)
    order = np.stack([np.argsort(row)[::-1] for row in scores])
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(scores.shape[1])[None], axis=1)
    best = np.full(len(scores), scores.shape[1])
    np.minimum.at(best, owner, places[owner, item])
    return (1 + best).astype(np.float64)
