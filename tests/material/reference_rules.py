"""The rules that follow the content, as loops over tokens in double precision.

Slow, and independent: nothing is shared with the package. Lists of numbers and numpy in and out,
one clip at a time. Among equals the first wins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Row = Sequence[float]
Array = npt.NDArray[np.float64]


def cosine(u: Row, v: Row) -> float:
    norms = math.sqrt(sum(p * p for p in u)) * math.sqrt(sum(q * q for q in v))
    return sum(p * q for p, q in zip(u, v, strict=True)) / norms if norms else 0.0


def turned(patches: Sequence[Sequence[Row]]) -> list[list[float]]:
    """EVS: one minus the cosine to the patch at the same place in the frame before."""
    first = [0.0] * len(patches[0])
    return [first] + [
        [1 - cosine(patch, old) for patch, old in zip(now, before, strict=True)]
        for before, now in itertools.pairwise(patches)
    ]


def changed(frames: Array, patch: int) -> list[list[float]]:
    """RLT: (F, 3, S, S) -> the mean absolute difference of a patch from the frame before."""
    count, channels, side, _ = frames.shape
    found = [[0.0] * (side // patch) ** 2]
    for t in range(1, count):
        row = []
        for y in range(0, side, patch):
            for x in range(0, side, patch):
                total = 0.0
                for c in range(channels):
                    for dy in range(patch):
                        for dx in range(patch):
                            now, old = (
                                frames[t, c, y + dy, x + dx],
                                frames[t - 1, c, y + dy, x + dx],
                            )
                            total += abs(float(now) - float(old))
                row.append(total / (channels * patch * patch))
        found.append(row)
    return found


def survivors(change: Sequence[Row], drop: int) -> list[tuple[int, int]]:
    """(frame, place) of the patches that stay: all of the first frame, then the most changed."""
    later = [(f, p) for f in range(1, len(change)) for p in range(len(change[0]))]
    ranked = sorted(later, key=lambda at: -change[at[0]][at[1]])  # stable: the earlier stays first
    stay = set(ranked[: len(later) - drop])
    return [(0, p) for p in range(len(change[0]))] + [at for at in later if at in stay]


def runs(stay: Sequence[tuple[int, int]], frames: int, places: int) -> list[list[tuple[int, int]]]:
    """Of every survivor, the (frame, place)s until the place is kept again."""
    held = []
    for f, p in stay:
        run = [(f, p)]
        for later in range(f + 1, frames):
            if (later, p) in stay:
                break
            run.append((later, p))
        held.append(run)
    assert sum(map(len, held)) == frames * places
    return held


def frame_attention(
    q: Array, k: Array, v: Array, shows: Sequence[Sequence[int | None]], asks: Sequence[int]
) -> Array:
    """(H, N, d) of tokens; shows[f]: the token at each place of a frame; asks[n]: the frame."""
    heads, count, width = q.shape
    out = np.zeros((heads, count, width))
    for h in range(heads):
        for n in range(count):
            seen = [token for token in shows[asks[n]] if token is not None]
            scores = [float(q[h, n] @ k[h, token]) / math.sqrt(width) for token in seen]
            most = max(scores)
            weights = [math.exp(score - most) for score in scores]
            for weight, token in zip(weights, seen, strict=True):
                out[h, n] += weight / sum(weights) * v[h, token]
    return out


def aligned(
    x: Sequence[Sequence[Row]], place: Sequence[Sequence[int]], r: int, still: float, first: int
) -> dict[int, int]:
    """Clips of tokens that join -> token that leaves (counted through them) -> where it ends.

    first: the number of the first token of A, of which every second one may find a partner.
    """
    tokens = [(c, i) for c, clip in enumerate(x) for i in range(len(clip))]
    number = {token: n for n, token in enumerate(tokens)}
    stands: dict[int, tuple[float, int]] = {}
    for c, i in tokens:
        same = [j for j in range(len(x[c - 1])) if place[c - 1][j] == place[c][i]] if c else []
        likes = [cosine(x[c][i], x[c - 1][j]) for j in same]
        if likes and max(likes) >= still:
            best = likes.index(max(likes))
            stands[number[c, i]] = (likes[best], number[c - 1, same[best]])
    leaving = dict(sorted(stands.items(), key=lambda item: -item[1][0])[:r])
    flat = [row for clip in x for row in clip]
    receive = [n for n in range(len(flat)) if n % 2 != first and n not in stands]
    others: dict[int, tuple[float, int]] = {}
    for n in range(first, len(flat), 2):
        if n not in stands and receive:
            likes = [cosine(flat[n], flat[m]) for m in receive]
            others[n] = (max(likes), receive[likes.index(max(likes))])
    more = sorted(others.items(), key=lambda item: -item[1][0])[: r - len(leaving)]
    into = {n: target for n, (_, target) in (*leaving.items(), *more)}

    def end(n: int) -> int:
        return end(into[n]) if n in into else n

    return {n: end(n) for n in into}


def crowded(x: Sequence[Row], r: int, margin: float) -> dict[int, int]:
    """PiToMe: token that merges -> token that it merges into."""

    def elu(value: float) -> float:
        return value if value > 0 else math.exp(value) - 1

    energy = [round(sum(elu(cosine(u, v) - margin) for v in x) / len(x), 5) for u in x]
    ranked = sorted(range(len(x)), key=lambda i: -energy[i])  # stable: the earlier stays first
    first, second = ranked[: 2 * r : 2], ranked[1 : 2 * r : 2]
    into = {}
    for token in first:
        likeness = [round(cosine(x[token], x[other]), 6) for other in second]
        into[token] = second[likeness.index(max(likeness))]
    return into


def segments(frames: Sequence[Sequence[Row]], r: int) -> list[list[int]]:
    """EarlyTom: the frames of every segment, when the r least cuts are not made."""
    likes = [
        sum(cosine(a, b) for a, b in zip(before, now, strict=True)) / len(now)
        for before, now in itertools.pairwise(frames)
    ]
    closed = sorted(range(len(likes)), key=lambda t: -likes[t])[:r]
    found = [[0]]
    for t in range(1, len(frames)):
        if t - 1 in closed:
            found[-1].append(t)
        else:
            found.append([t])
    return found


def soft_shares(alike: Sequence[Row], r: int, nearest: int, heat: float) -> Array:
    """DTEM: in each of r rounds a softmax over all pairs, less of what is gone."""
    score = np.full((len(alike), len(alike[0])), -np.inf)
    for i, row in enumerate(alike):
        for j in sorted(range(len(row)), key=lambda j: -row[j])[:nearest]:
            score[i, j] = row[j] / heat
    taken = np.zeros_like(score)
    for _ in range(r):
        weights = np.exp(score / heat - (score / heat).max())
        now = weights / weights.sum()
        taken += now
        for i in range(len(score)):
            score[i] += math.log(max(1 - now[i].sum(), 1.1920928955078125e-07))
    for i in range(len(score)):
        taken[i] /= max(1.0, taken[i].sum())
    return taken


def held_by(into: dict[int, int], count: int) -> list[list[int]]:
    """The tokens that each of those that stay holds, in the order of those that stay."""
    return [
        sorted([n, *(source for source, end in into.items() if end == n)])
        for n in range(count)
        if n not in into
    ]


def means(x: Sequence[Row], sizes: Row, held: Sequence[Sequence[int]]) -> list[list[float]]:
    """The mean of what each token holds, by size."""
    rows: list[Any] = []
    for tokens in held:
        total = sum(sizes[n] for n in tokens)
        rows.append([sum(sizes[n] * x[n][d] for n in tokens) / total for d in range(len(x[0]))])
    return rows
