"""How sure it is that a hit shows what was asked for.

A cosine alone says little: what a model gives to a good match differs from model to model, and
some moments are near to every query. So a score is held against a background, queries that have
nothing to do with the index. Of a moment m, the background queries b have scores with a mean and
a spread; what a query q gets beyond that is (test normalisation, Auckenthaler et al. 2000,
"Score Normalization for Text-Independent Speaker Verification Systems"; the spread is pooled half
with that of all moments, as estimates of few moments are rough)

    t(q, m) = (cos(q, m) - mean_b cos(b, m)) / sqrt((var_b cos(b, m) + spread^2) / 2)

and its chance is that of a background query to find as much anywhere in the index (a p-value of
the maximum, with the usual correction for finite samples)

    p(q, m) = (1 + #{b : max_m' t(b, m') >= t(q, m)}) / (1 + #b)

where t(b, m') takes mean and spread of the other background queries, as they stand to q: each pulls
both a little towards itself, and a query that is not of the background would seem rarer than it is.
Beyond the last quarter of the background, p is that of a fitted tail (`tempme.index.tail`).

`LEVELS` cut it into words: of queries that nothing matches, 1 in 100 gets a hit of high
confidence, 1 in 20 one of medium or high, 1 in 5 one of any. Words are held against phrases that
come with the package, pictures and videos against moments of the index itself, other contents than
the one they are of. `results/confidence.json` has what that comes to on generated scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Confidence, Gallery
from tempme.index.tail import Tail

Floats: TypeAlias = NDArray[np.float32]
Kind: TypeAlias = Literal["text", "visual"]
"""What a query is made of: words, or pictures, videos and moments."""

LEVELS: dict[Confidence, float] = {"high": 0.01, "medium": 0.05, "low": 0.2, "none": 1.0}
"""The largest chance of each level, surest first."""
BACKGROUND = Path(__file__).parent / "background"
PHRASES = ("general.txt", "scenes.txt")
NUM_QUERIES = 1000
"""Queries of a background at most; a chance of 1 in 100 is then known to about a quarter."""
ROUNDING = 0.01
"""Spreads by which scores of one pair may differ by rounding, as features are kept in fp16: what is
as high but for so much counts as high, so that a tie is a tie."""
FEWEST = 3
"""With fewer there is no mean and no spread."""
MOST_MOMENTS = 50_000
"""Moments of the index that the background is held against at most; more are a matter of `size`."""
BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Judge:
    """Chances of scores, for queries of one kind, within one state of an index.

    `centre` (D,) and `covariance` (D, D) are those of the background queries, `maxima` (B,) what
    each finds at most among the moments that were sampled, in ascending order, `spread` the mean
    spread. `size` is the number of moments in the index over the number sampled: the chance that
    one in so many more is as high grows by it.
    """

    centre: Floats
    covariance: Floats
    maxima: Floats
    spread: float
    size: float = 1.0

    @classmethod
    def of(
        cls, queries: Floats, moments: Floats, *, own: NDArray[np.bool_] | None, size: float = 1.0
    ) -> Judge:
        """Hold background queries (B, D) against moments (N, D); `own` (B, N) do not count."""
        centre, covariance = _shape(queries)
        _, spreads = _statistics(centre, covariance, moments)
        spread = float(spreads.mean()) if len(spreads) else 1.0
        maxima = np.full(len(queries), -np.inf, dtype=np.float32)
        for start in range(0, len(moments) if len(queries) >= FEWEST else 0, BLOCK):
            part = slice(start, start + BLOCK)
            excess = _among_others(queries @ moments[part].T, spread)
            if own is not None:
                excess[own[:, part]] = -np.inf
            np.maximum(maxima, excess.max(axis=1), out=maxima)
        return cls(centre, covariance, np.sort(maxima[np.isfinite(maxima)]), spread, size)

    def chances(self, scores: Floats, moments: Floats) -> Floats:
        """For hits with these scores (H,) and unit features (H, D): p as above, (H,)."""
        if len(self.maxima) < FEWEST:
            return np.ones(len(scores), dtype=np.float32)
        means, spreads = _statistics(self.centre, self.covariance, moments)
        excess = (scores - means) / _pooled(spreads, self.spread)
        chances = self._tail.chances(excess - ROUNDING)
        return np.asarray(1 - (1 - chances) ** self.size, dtype=np.float32)

    @cached_property
    def _tail(self) -> Tail:
        return Tail.of(self.maxima)

    def levels(self, scores: Floats, moments: Floats) -> list[Confidence]:
        """The same in words."""
        return [level_of(float(chance)) for chance in self.chances(scores, moments)]


def level_of(chance: float) -> Confidence:
    """The word for a chance from 0 to 1."""
    return next((level for level, most in LEVELS.items() if chance <= most), "none")


def at_least(level: Confidence) -> frozenset[Confidence]:
    """This level and the surer ones."""
    levels: tuple[Confidence, ...] = get_args(Confidence)
    return frozenset(levels[: levels.index(level) + 1])


def judge_texts(texts: Floats, sample: Gallery, *, num_moments: int) -> Judge:
    """From the features of background phrases and moments of the index."""
    size = max(1.0, num_moments / max(1, len(sample)))
    return Judge.of(texts, _units(sample.features), own=None, size=size)


def judge_visuals(sample: Gallery, *, num_moments: int) -> Judge:
    """From moments alone: each asks for its like among the moments of other contents."""
    features = _units(sample.features)
    chosen = spread_over(len(features), NUM_QUERIES)
    own = sample.owner[chosen][:, None] == sample.owner[None, :]
    size = max(1.0, num_moments / max(1, len(sample)))
    return Judge.of(features[chosen], features, own=own, size=size)


def spread_over(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the places 0 to count - 1, evenly spread."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).astype(np.int64))


def phrase_lists() -> tuple[tuple[str, ...], ...]:
    """The phrases that come with the package, the most general list first."""
    return tuple(
        tuple((BACKGROUND / name).read_text(encoding="utf-8").splitlines()) for name in PHRASES
    )


def _shape(queries: Floats) -> tuple[Floats, Floats]:
    """The centre (D,) of background queries (B, D), and their covariance (D, D)."""
    centre = queries.sum(axis=0) / max(1, len(queries))
    away = queries - centre
    return centre, away.T @ away / max(1, len(queries))


def _statistics(centre: Floats, covariance: Floats, moments: Floats) -> tuple[Floats, Floats]:
    """Mean and spread of the background's scores with each moment.

    The variance of b.m over b is m' C m with the covariance C of the background.
    """
    variances = np.einsum("nd,nd->n", moments @ covariance, moments)
    return moments @ centre, np.sqrt(variances.clip(1e-12))


def _among_others(scores: Floats, spread: float) -> Floats:
    """Scores (B, N) of B background queries, each normalised by the B - 1 others: t, (B, N)."""
    count = len(scores)
    away = scores - scores.mean(axis=0)
    squares = away**2
    variances = (squares.sum(axis=0) - squares * (count / (count - 1))) / (count - 1)
    away *= count / (count - 1)  # from the mean of the others
    away /= _pooled(np.sqrt(variances.clip(1e-12)), spread)
    return np.asarray(away, dtype=np.float32)


def _pooled(spreads: Floats, spread: float) -> Floats:
    return np.sqrt((spreads**2 + spread**2) / 2).astype(np.float32)


def _units(features: NDArray[np.float16]) -> Floats:
    wide = features.astype(np.float32)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True).clip(1e-6), np.float32)
