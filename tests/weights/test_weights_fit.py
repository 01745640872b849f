"""Weights are looked at one tensor at a time: what was read of a file stays while it is held."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tempme.weights.fit import misfit

NAMES = ("c", "a", "b")


class ReadWhenAsked(Mapping[str, Tensor]):
    """Tensors that are made when they are asked for; `most` is how many lived at once."""

    def __init__(self) -> None:
        self._given: list[weakref.ref[Tensor]] = []
        self.most = 0

    def __getitem__(self, name: str) -> Tensor:
        made = torch.zeros(2, 3)
        self._given.append(weakref.ref(made))
        self.most = max(self.most, sum(one() is not None for one in self._given))
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


def test_no_more_than_one_tensor_is_held_beside_the_next() -> None:
    state = ReadWhenAsked()
    assert misfit(dict.fromkeys(NAMES, (2, 3)), state) == ""
    assert 1 <= state.most <= 2


def test_the_first_by_name_that_does_not_fit_is_told() -> None:
    shapes = {"a": (2, 3), "b": (3, 2), "c": (1,)}
    assert misfit(shapes, ReadWhenAsked()) == "b is (2, 3), not (3, 2)"
