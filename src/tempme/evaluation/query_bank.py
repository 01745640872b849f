"""Querybank normalisation (QB-Norm; Bogolin et al., CVPR 2022) with the dynamic inverted softmax.

Some videos are near to every text. A bank of queries that are none of the test's, the captions of
the training split, shows which: a score becomes the share that the query has of all that the item
draws, exp(t s) / sum over the bank of exp(t s), for queries whose first item is one that some query
of the bank finds first, too; the others stay as they are. The defaults are those of the authors'
release. Only text to video: a bank of the other direction would be the training videos.

Where the dual softmax looks at all test queries together, this looks at each alone; but it knows
the training captions, so it is another protocol than plain scores, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.evaluation.metrics import RetrievalMetrics, metrics_of
from tempme.evaluation.ranks import Matrix, Places, Ties, checked_matrix, places

TEMPERATURE, FIRST = 20.0, 1
SCORES_AT_ONCE = 4_000_000  # of the bank, and of the queries


@dataclass(frozen=True)
class Bank:
    """What the queries of a bank say of V items.

    log_sums (V,): the logarithm of what each draws; found (V,): whether it is among the first of
    some query. num_queries: of the bank.
    """

    log_sums: NDArray[np.float64]
    found: NDArray[np.bool_]
    num_queries: int
    temperature: float

    @classmethod
    def of_scores(
        cls, matrix: Matrix, *, temperature: float = TEMPERATURE, first: int = FIRST
    ) -> Bank:
        """The bank of a matrix of scores (B, V); first: how many items a query finds."""
        scores = checked_matrix(matrix).astype(np.float64)
        if not temperature > 0 or not 1 <= first <= scores.shape[1]:
            raise BadSetting(
                f"QB-Norm has temperature {temperature}, which multiplies, so above 0, and takes "
                f"the first {first} of {scores.shape[1]} items, one or more"
            )
        found = np.zeros(scores.shape[1], np.bool_)
        if first == 1:  # of equal ones that which comes first
            found[scores.argmax(axis=1)] = True
        else:
            found[np.argpartition(-scores, first - 1, axis=1)[:, :first]] = True
        drawn = np.logaddexp.reduce(temperature * scores, axis=0)
        return cls(drawn, found, len(scores), temperature)

    @classmethod
    def of_features(
        cls,
        queries: NDArray[np.float32],
        items: NDArray[np.float32],
        *,
        temperature: float = TEMPERATURE,
        first: int = FIRST,
    ) -> Bank:
        """The bank of unit features (B, D) and (V, D), some queries at a time."""
        if not len(queries):
            raise BadSetting("the query bank is empty: give texts of the training split")
        parts = [
            cls.of_scores(queries[some] @ items.T, temperature=temperature, first=first)
            for some in _blocks(len(queries), len(items))
        ]
        return cls(
            np.logaddexp.reduce([part.log_sums for part in parts], axis=0),
            np.logical_or.reduce([part.found for part in parts]),
            len(queries),
            temperature,
        )

    def normalized(self, matrix: Matrix) -> NDArray[np.float64]:
        """Scores (T, V) -> scores that order each row as QB-Norm does.

        Rows that are normalised hold logarithms of the shares, the others what they held.
        """
        scores = checked_matrix(matrix).astype(np.float64)
        if scores.shape[1] != len(self.found):
            raise BadSetting(f"{scores.shape[1]} items, but the bank is of {len(self.found)}")
        rows = self.found[scores.argmax(axis=1)]
        scores[rows] = self.temperature * scores[rows] - self.log_sums
        return scores

    def places(
        self, texts: NDArray[np.float32], videos: NDArray[np.float32], targets: Sequence[int]
    ) -> Places:
        """The places of right items of features (T, D) and (V, D), some queries at a time."""
        own = np.asarray(targets)
        parts = [
            places(self.normalized(texts[some] @ videos.T), own[some])
            for some in _blocks(len(texts), len(videos))
        ]
        return Places(
            np.concatenate([part.better for part in parts]),
            np.concatenate([part.equal for part in parts]),
        )


@dataclass(frozen=True)
class BankScores:
    """Text to video with a query bank: a protocol of its own, and what its bank was."""

    t2v: RetrievalMetrics
    num_queries: int
    temperature: float
    num_found: int


def score_with_bank(
    bank: NDArray[np.float32],
    texts: NDArray[np.float32],
    videos: NDArray[np.float32],
    targets: Sequence[int],
    *,
    ties: Ties = "expected",
) -> BankScores:
    """QB-Norm of unit features: bank (B, D), texts (T, D) and videos (V, D)."""
    made = Bank.of_features(bank, videos)
    found = made.places(texts, videos, targets)
    return BankScores(
        metrics_of(found, ties=ties), made.num_queries, made.temperature, int(made.found.sum())
    )


def bank_of(captions: Sequence[str], most: int | None = None) -> tuple[str, ...]:
    """The distinct captions of a training split; at most so many, evenly spread over it."""
    distinct = tuple(dict.fromkeys(captions))
    if most is None or len(distinct) <= most:
        return distinct
    if most < 1:
        raise BadSetting(f"a query bank of {most} captions; it takes one or more")
    return tuple(distinct[i * len(distinct) // most] for i in range(most))


def _blocks(rows: int, columns: int) -> list[slice]:
    each = max(1, SCORES_AT_ONCE // columns)
    return [slice(first, first + each) for first in range(0, rows, each)]
