"""Bipartite matching and merging written as loops over tokens, for tests to compare with.

Slow, and independent: nothing is shared with the package.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Pairs(NamedTuple):
    """Positions in the whole sequence of one clip."""

    order: list[int]  # the token that each token of the output started as
    into: dict[int, int]  # token that moves -> token that receives it


def pairs(metric: list[list[float]], r: int, protected: int) -> Pairs:
    """Even positions of the sequence may move, odd ones receive; the r best pairs do.

    Where protected tokens cover positions, these take no part. Among equals the first wins.
    """
    n = len(metric)
    a = [i for i in range(protected, n) if i % 2 == 0]
    b = [i for i in range(protected, n) if i % 2 == 1]
    nearest: list[tuple[float, int, int]] = []
    for i in a:
        best, to = -math.inf, -1
        for j in b:
            score = _cosine(metric[i], metric[j])
            if score > best:
                best, to = score, j
        nearest.append((best, i, to))
    moving = sorted(nearest, key=lambda pair: -pair[0])[:r]  # stable: the first stays first
    into = {i: j for _, i, j in moving}
    order = [*range(protected), *(i for i in a if i not in into), *b]
    return Pairs(order, into)


def merged(x: Tensor, size: Tensor, found: Pairs) -> tuple[Tensor, Tensor]:
    """(N, D) and (N,) -> the mean of what each output token holds, by size; autograd works."""
    rows, sizes = [], []
    for token in found.order:
        held = [token, *(i for i, j in found.into.items() if j == token)]
        total = sum(size[i] for i in held)
        rows.append(sum(x[i] * size[i] for i in held) / total)
        sizes.append(total)
    return torch.stack(rows), torch.stack([torch.as_tensor(s) for s in sizes])


def assignment(found: Pairs, n: int) -> list[int]:
    """The output token that each of n tokens ends in."""
    return [found.order.index(found.into.get(i, i)) for i in range(n)]


def _cosine(u: list[float], v: list[float]) -> float:
    dot = sum(p * q for p, q in zip(u, v, strict=True))
    norms = math.sqrt(sum(p * p for p in u)) * math.sqrt(sum(q * q for q in v))
    return dot / norms if norms else 0.0
