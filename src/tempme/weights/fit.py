"""Does a state fit? Asked here by published weights and by saved retrievers alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor


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
    for name, value in sorted(state.items()):
        if tuple(value.shape) != shapes[name]:
            return f"{name} is {tuple(value.shape)}, not {shapes[name]}"
        if not bool(torch.isfinite(value).all()):
            return f"{name} holds values that are not finite"
    return ""


def named(names: Iterable[str]) -> str:
    """The first few of many names, how many there are, and the verb that goes with them."""
    names = list(names)
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{len(names)} tensors ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}) are"
