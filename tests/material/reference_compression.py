"""The rules of EViT, DiffRate, STA and TESTA as loops over tokens, in double precision.

Slow, and independent: nothing is shared with the package. One frame (or one video) at a time,
lists of numbers in and out. Among equals the first wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Row = Sequence[float]


class Frame(NamedTuple):
    """Tokens after a step, and the tokens of before that each holds."""

    rows: list[list[float]]
    sizes: list[float]
    held: list[list[int]]


def class_attention(q: Sequence[Row], k: Sequence[Sequence[Row]], bias: Row) -> list[float]:
    """Heads of one query, heads of all keys, log sizes -> attention to every token."""
    total = [0.0] * len(bias)
    for query, keys in zip(q, k, strict=True):
        scores = [_dot(query, key) / math.sqrt(len(query)) + b for key, b in zip(keys, bias)]  # noqa: B905
        for i, weight in enumerate(softmax(scores)):
            total[i] += weight / len(q)
    return total


def evit(x: Sequence[Row], attention: Row, keep: float, *, fuse: bool) -> Frame:
    """The class token, the patches it attends to most, and one for all the others."""
    stays = math.ceil(keep * (len(x) - 1))
    ranked = sorted(range(1, len(x)), key=lambda i: -attention[i])
    kept, left = [0, *ranked[:stays]], ranked[stays:]
    rows, held = [list(x[i]) for i in kept], [[i] for i in kept]
    if left and fuse:
        rows.append([sum(attention[i] * x[i][d] for i in left) for d in range(len(x[0]))])
        held.append(left)
    return Frame(rows, [float(len(tokens)) for tokens in held], held)


def diffrate(x: Sequence[Row], sizes: Row, attention: Row, prune: int, merge: int) -> Frame:
    """Rank patches by attention, lose the last, average those before into the ones above."""
    ranked = [0, *sorted(range(1, len(x)), key=lambda i: -attention[i])][:prune]
    held = [[i] for i in ranked[:merge]]
    weights = [sizes[i] for i in ranked[:merge]]
    for i in ranked[merge:]:
        likes = [cosine(x[i], x[j]) for j in ranked[1:merge]]
        best = likes.index(max(likes))
        held[best + 1].append(i)
        weights[best + 1] += sizes[i] * likes[best]
    rows = [
        [sum(x[i][d] for i in tokens) / len(tokens) for d in range(len(x[0]))] for tokens in held
    ]
    return Frame(rows, weights, held)


def sta(
    x: Sequence[Sequence[Row]], keys: Sequence[Sequence[Row]], drop: int, *, backward: bool
) -> list[list[int]]:
    """The patches of every frame that stay."""
    times = range(len(x))[::-1] if backward else range(len(x))
    kept: dict[int, list[int]] = {}
    before, seen = -1, {}
    for t in times:
        n = len(x[t])
        if before < 0:
            nearest = {
                i: max(cosine(keys[t][i], keys[t][j]) for j in range(1, n, 2))
                for i in range(0, n, 2)
            }
            order = [*range(1, n, 2), *sorted(nearest, key=lambda i: nearest[i])]
            seen = dict.fromkeys(range(n), 1.0)
        else:
            arrived = [0.0] * n
            for j, share in seen.items():
                flow = softmax([cosine(key, keys[before][j]) for key in keys[t]])
                for i in range(n):
                    arrived[i] += flow[i] * share
            weak = [1 - a for a in _from_0_to_1([sum(map(abs, row)) for row in x[t]])]
            order = sorted(range(n), key=lambda i: arrived[i] * weak[i])
            total = sum(arrived[i] for i in order[: n - drop])
            seen = {i: arrived[i] / total for i in order[: n - drop]}
        kept[t], before = order[: n - drop], t
    return [kept[t] for t in range(len(x))]


def testa_frames(keys: Sequence[Sequence[Row]], r: int) -> tuple[list[int], dict[int, int]]:
    """Frames that go on, in their new order, and the frames that move: from -> to."""
    even, odd = range(0, len(keys), 2), range(1, len(keys), 2)
    edges = []
    for a in even:
        votes = dict.fromkeys(odd, 0)
        weakest = math.inf
        for p, key in enumerate(keys[a]):
            likes = {b: cosine(key, keys[b][p]) for b in odd}
            best = max(likes, key=lambda b: likes[b])
            votes[best] += 1
            weakest = min(weakest, likes[best])
        edges.append((weakest, a, max(votes, key=lambda b: votes[b])))
    into = {a: b for _, a, b in sorted(edges, key=lambda edge: -edge[0])[:r]}
    return [*(a for a in even if a not in into), *odd], into


def testa_merge(
    x: Sequence[Sequence[Row]], sizes: Sequence[Row], order: list[int], into: dict[int, int]
) -> tuple[list[list[list[float]]], list[list[float]]]:
    """Frames of tokens and their sizes after merging position by position, weighted by size."""
    rows, weights = [], []
    for frame in order:
        held = [frame, *(a for a, b in into.items() if b == frame)]
        positions = range(len(x[frame]))
        weights.append([sum(sizes[f][p] for f in held) for p in positions])
        rows.append(
            [
                [
                    sum(sizes[f][p] * x[f][p][d] for f in held) / weights[-1][p]
                    for d in range(len(x[frame][p]))
                ]
                for p in positions
            ]
        )
    return rows, weights


def softmax(scores: Row) -> list[float]:
    most = max(scores)
    weights = [math.exp(score - most) for score in scores]
    return [weight / sum(weights) for weight in weights]


def cosine(u: Row, v: Row) -> float:
    norms = math.sqrt(_dot(u, u)) * math.sqrt(_dot(v, v))
    return _dot(u, v) / norms if norms else 0.0


def _dot(u: Row, v: Row) -> float:
    return sum(a * b for a, b in zip(u, v, strict=True))


def _from_0_to_1(values: Row) -> list[float]:
    span = max(values) - min(values)
    return [(value - min(values)) / span if span else 0.0 for value in values]
