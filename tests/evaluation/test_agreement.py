"""Agreement of two models: by hand, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from tempme.errors import BadSetting
from tempme.evaluation.agreement import Estimate, agreement, estimate, overlaps


def units(*shape: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(shape)
    return (drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)).astype(np.float32)


def test_shared_places_by_hand() -> None:
    one = np.array([[4, 3, 2, 1], [1, 2, 3, 4]], np.float32)
    other = np.array([[4, 3, 1, 2], [4, 3, 2, 1]], np.float32)
    assert overlaps(one, other, 2).tolist() == [1, 0]
    assert overlaps(one, other, 3).tolist() == pytest.approx([2 / 3, 2 / 3])
    tied = np.zeros((1, 4), np.float32)  # among equals the first
    assert overlaps(tied, one[:1], 2).tolist() == [1]


def test_a_model_agrees_with_itself() -> None:
    features = units(12, 8)
    found = agreement(features, features, units(50, 8, seed=1), [0] * 12)
    assert found.cosine == Estimate(1, 1, 1)
    assert found.overlap == Estimate(1, 1, 1)
    assert (found.num_windows, found.num_videos, found.num_phrases) == (12, 1, 50)


def test_strangers_share_what_chance_gives_them() -> None:
    one, other = units(400, 32), units(400, 32, seed=1)
    found = agreement(one, other, units(100, 32, seed=2), range(400))
    assert found.overlap.low < 0.1 < found.overlap.high
    assert found.cosine.low < 0 < found.cosine.high


def test_windows_of_few_videos_are_drawn_alone_and_of_many_together() -> None:
    one = units(40, 8)
    other = one.copy()
    other[:10] = -other[:10]  # one of the videos is another to the other model
    phrases = units(30, 8, seed=3)
    alone = agreement(one, other, phrases, range(40))
    together = agreement(one, other, phrases, np.arange(40) // 5)
    few = agreement(one, other, phrases, np.arange(40) // 20)
    assert (alone.drawn, together.drawn, few.drawn) == ("videos", "videos", "windows")
    assert alone.cosine.mean == together.cosine.mean == 0.5
    width = [found.cosine.high - found.cosine.low for found in (alone, together)]
    assert width[1] > 1.5 * width[0]
    assert agreement(one, other, phrases, np.arange(40) // 5) == together  # the same every time


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(7).standard_normal((200, 40)) + 2
    held = [estimate(values, np.arange(40)) for values in drawn]
    share = np.mean([found.low <= 2 <= found.high for found in held])
    assert 0.89 < share < 0.99


def test_rows_have_to_pair() -> None:
    with pytest.raises(BadSetting, match="one row each for one window or more"):
        agreement(units(3, 4), units(2, 4), units(9, 4), [0, 0, 0])
    with pytest.raises(BadSetting, match="of 0 windows"):
        agreement(units(0, 4), units(0, 4), units(9, 4), [])


def test_fewer_phrases_than_asked_for_are_all_near() -> None:
    found = agreement(units(3, 4), units(3, 4, seed=1), units(4, 4), [0, 0, 1])
    assert (found.nearest, found.overlap.mean) == (4, 1)
