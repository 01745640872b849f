"""Batches of windows by number, and settings that no run could use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tempme.adapting import learning
from tempme.adapting.settings import Adapting
from tempme.errors import BadSetting


def test_every_window_comes_before_any_comes_again() -> None:
    pixels, features = np.zeros((9, 1, 2, 2, 3), np.uint8), np.eye(9, dtype=np.float32)
    lessons = learning.Lessons(pixels, features, features, np.arange(0, 9, 2), np.arange(1, 9, 2))
    batches = learning.TaughtBatches(lessons, batch=2, seed=1)
    seen = np.concatenate([batches.numbers(step) for step in range(5)])
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 2, 4, 6, 8]
    assert list(seen[:5]) != list(seen[5:])
    other = learning.TaughtBatches(lessons, batch=2, seed=2)
    assert list(np.concatenate([other.numbers(step) for step in range(5)])) != list(seen)
    frames, taught = batches.part(3, 0, 1)
    assert (frames.shape, taught.shape) == ((2, 1, 2, 2, 3), (2, 9))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows": 3}, "windows is 3"),
        ({"batch": 1}, "batch is 1"),
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
    ],
)
def test_settings_are_checked_when_born(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Adapting(**changes)
