"""QB-Norm against a slow reference of its own, written from the paper's equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempme.errors import BadSetting
from tempme.evaluation import query_bank
from tempme.evaluation.metrics import retrieval_metrics
from tempme.evaluation.query_bank import Bank, bank_of, score_with_bank


def slow(test: np.ndarray, bank: np.ndarray, *, beta: float = 20.0, k: int = 1) -> np.ndarray:
    """Number by number: inverted softmax over the bank, for rows whose first item is active."""
    active = set()
    for row in bank:
        active |= set(sorted(range(len(row)), key=lambda i, r=row: (-r[i], i))[:k])
    made = np.empty_like(test, dtype=np.float64)
    for q, row in enumerate(test):
        first = min(range(len(row)), key=lambda i, r=row: (-r[i], i))
        for v, score in enumerate(row):
            shares = sum(math.exp(beta * float(other[v])) for other in bank)
            made[q, v] = math.exp(beta * float(score)) / shares if first in active else score
    return made


def cosines(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.4, 0.6, (rows, columns))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_it_orders_every_row_as_the_reference_does(seed: int, k: int) -> None:
    test, bank = cosines(30, 12, seed), cosines(9 // k, 12, seed + 100)
    ours = Bank.of_scores(bank, first=k).normalized(test)
    theirs = slow(test, bank, k=k)
    assert (ours.argsort(axis=1) == theirs.argsort(axis=1)).all()
    assert retrieval_metrics(ours, np.arange(30) % 12) == retrieval_metrics(
        theirs, np.arange(30) % 12
    )
    rows = Bank.of_scores(bank, first=k).found[test.argmax(axis=1)]
    assert 0 < rows.sum() < 30  # both kinds of rows are there
    np.testing.assert_allclose(np.exp(ours[rows]), theirs[rows], rtol=1e-9)
    np.testing.assert_array_equal(ours[~rows], test[~rows])


def test_a_hub_no_longer_wins() -> None:
    """Video 0 is near to everything, and every query of the bank finds it."""
    test = np.eye(4) * 0.5
    test[:, 0] = 0.6
    bank = np.full((5, 4), 0.1)
    bank[:, 0] = 0.7
    assert retrieval_metrics(test).r1 == 25
    assert retrieval_metrics(Bank.of_scores(bank).normalized(test)).r1 == 100
    quiet = np.full((5, 4), 0.1)
    quiet[:, 1] = 0.2  # no query of this bank finds what the test's queries find first
    assert (Bank.of_scores(quiet).normalized(test) == test).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_blocks_are_the_whole(block: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bank, texts, videos = (
        (one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32)
        for one in (rng.standard_normal((n, 8)) for n in (rows, 20, 7))
    )
    targets = tuple(int(i) for i in rng.integers(0, 7, 20))
    whole = score_with_bank(bank, texts, videos, targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_bank, "SCORES_AT_ONCE", block)
        assert score_with_bank(bank, texts, videos, targets) == whole
    normal = Bank.of_scores(bank @ videos.T).normalized(texts @ videos.T)
    assert whole.t2v == retrieval_metrics(normal, targets)
    assert (whole.num_queries, whole.temperature) == (rows, 20.0)


def test_what_cannot_be_a_bank() -> None:
    with pytest.raises(BadSetting, match="temperature 0"):
        Bank.of_scores(np.eye(2), temperature=0)
    with pytest.raises(BadSetting, match="first 3 of 2 items"):
        Bank.of_scores(np.eye(2), first=3)
    with pytest.raises(BadSetting, match="query bank is empty"):
        Bank.of_features(np.zeros((0, 2), np.float32), np.eye(2, dtype=np.float32))
    with pytest.raises(BadSetting, match="3 items, but the bank is of 2"):
        Bank.of_scores(np.eye(2)).normalized(np.eye(3))
    with pytest.raises(BadSetting, match="NaN"):
        Bank.of_scores(np.full((2, 2), np.nan))


def test_a_bank_holds_each_caption_once() -> None:
    assert bank_of(["a", "b", "a", "c"]) == ("a", "b", "c")
    assert bank_of([str(i) for i in range(100)], 4) == ("0", "25", "50", "75")
    assert bank_of(["a"], 4) == ("a",)
    with pytest.raises(BadSetting, match="of 0 captions"):
        bank_of(["a"], 0)
