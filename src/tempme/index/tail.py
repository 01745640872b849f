"""The chance that a value is as high as one of a sample: counted, and in the tail from a fit.

Of 1,000 values ten are in the last hundredth, and where the tenth lies is known to a third. So
beyond most of the sample a generalised Pareto distribution is fitted to what is there, which makes
use of all of it (Pickands 1975, "Statistical Inference Using Extreme Order Statistics"; for
p-values Knijnenburg et al. 2009, "Fewer Permutations, More Accurate P-values"). Its moments are
matched (Hosking and Wallis 1987): with mean m and variance v of the excesses over a threshold u,

    shape = (1 - m^2 / v) / 2,   scale = m (1 - shape)
    P(X >= x) = P(X >= u) (1 + shape (x - u) / scale)^(-1 / shape)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARE = 0.25
"""The part of a sample that a fit is made of."""
FEWEST = 25
"""With fewer values in the tail all are counted."""
SHAPES = (-0.5, 0.3)
"""Shapes of maxima of scores; what lies beyond is the accident of a few values."""
LEAST = 0.1
"""Of the smallest chance that can be counted; what is below is not known."""
STRAIGHT = 1e-6
"""Shapes nearer to 0 are those of an exponential distribution."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Chances by a sample (B,) in ascending order; `scale` is 0 where there is no fit."""

    sample: NDArray[np.float32]
    threshold: float = math.inf
    scale: float = 0.0
    shape: float = 0.0

    @classmethod
    def of(cls, sample: NDArray[np.float32]) -> Tail:
        """Fit what is in the last part of the sample, given in ascending order."""
        count = int(SHARE * len(sample))
        if count < FEWEST:
            return cls(sample)
        threshold = float(sample[-count])
        excesses = sample[-count:].astype(np.float64) - threshold
        mean, variance = float(excesses.mean()), float(excesses.var())
        if not variance > 0:
            return cls(sample)
        shape = min(max((1 - mean**2 / variance) / 2, SHAPES[0]), SHAPES[1])
        return cls(sample, threshold, mean * (1 - shape), shape)

    def chances(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of values (H,): P(X >= x), counting x itself as one more of the sample."""
        counted = self._counted(values)
        if not self.scale:
            return counted
        beyond = self._beyond(np.maximum(values.astype(np.float64) - self.threshold, 0))
        at_threshold = self._counted(np.array([self.threshold], dtype=np.float32))
        fitted = np.maximum(at_threshold * beyond, LEAST / (1 + len(self.sample)))
        return np.where(values > self.threshold, fitted, counted)

    def _counted(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        as_high = len(self.sample) - np.searchsorted(self.sample, values, side="left")
        return np.asarray((1 + as_high) / (1 + len(self.sample)), dtype=np.float64)

    def _beyond(self, excesses: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(X >= u + y, given X >= u)."""
        if abs(self.shape) < STRAIGHT:
            return np.exp(-excesses / self.scale)
        return np.maximum(1 + self.shape * excesses / self.scale, 0) ** (-1 / self.shape)
