"""Does a state fit? Asked here by published weights and by saved retrievers alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor

PIECE = 1 << 20  # numbers


def misfit(
    shapes: Mapping[str, tuple[int, ...]],
    state: Mapping[str, Tensor],
    *,
    needed: Collection[str] | None = None,
) -> str:
    """What of `state` does not fit the tensors of a model, by name; empty if all does.

    shapes: name -> shape of every tensor of the model. needed: the names that must be there; None
    is all of them.
    """
    missing = sorted((shapes.keys() if needed is None else set(needed)) - state.keys())
    if missing:
        return f"{named(missing)} missing"
    surplus = sorted(state.keys() - shapes.keys())
    if surplus:
        return f"{named(surplus)} unknown"
    for name in sorted(state):
        value = state[name]  # one at a time: what was read of a file stays while it is held
        if tuple(value.shape) != shapes[name]:
            return f"{name} is {tuple(value.shape)}, not {shapes[name]}"
        if not is_finite(value):
            return f"{name} holds values that are not finite"
    return ""


def is_finite(value: Tensor) -> bool:
    """Whether all its numbers are, looked at in pieces: what is said of each takes as much memory
    again, and of a vocabulary that is 100 MB.
    """
    return all(bool(torch.isfinite(piece).all()) for piece in value.reshape(-1).split(PIECE))


def named(names: Iterable[str]) -> str:
    """The first few of many names, how many there are, and the verb that goes with them."""
    names = list(names)
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{len(names)} tensors ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}) are"
