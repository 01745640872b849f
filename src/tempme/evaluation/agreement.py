"""How far a model that merges says the same of videos as the dense model that it stands for.

Two questions, neither of which needs a caption: how near a video's two features are, and how many
of the phrases nearest to a video, of a bank that comes with the package, are the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting

NEAREST = 10
DRAWS = 2000
LEVEL = 0.95
FEW_VIDEOS = 5  # from so many on, videos are drawn rather than their windows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Estimate:
    """A mean, and the ends of its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Agreement:
    """Of some windows of some videos.

    cosine: between both features of a window. overlap: the share of the `nearest` phrases of a
    window that are so under both. drawn: whether the intervals are over videos or over windows.
    """

    cosine: Estimate
    overlap: Estimate
    num_windows: int
    num_videos: int
    num_phrases: int
    nearest: int
    drawn: str

    def as_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON."""
        return asdict(self)


def agreement(
    dense: Floats,
    other: Floats,
    phrases: Floats,
    videos: Sequence[int] | NDArray[np.int64],
    *,
    nearest: int = NEAREST,
) -> Agreement:
    """Unit features (W, D) of windows, by both models, and of phrases (P, D); a video per window.

    The intervals are of the percentile bootstrap, which draws whole videos where there are five or
    more, for windows of one video are alike; the same numbers every time.
    """
    if dense.shape != other.shape or len(dense) != len(videos) or not len(dense):
        raise BadSetting(
            f"features are {dense.shape} and {other.shape}, of {len(videos)} windows: one row "
            f"each for one window or more"
        )
    nearest = min(nearest, len(phrases))
    cosines = np.einsum("wd,wd->w", dense, other).astype(np.float64)
    shares = overlaps(dense @ phrases.T, other @ phrases.T, nearest)
    _, group = np.unique(np.asarray(videos), return_inverse=True)
    count = int(group.max()) + 1
    by_video = count >= FEW_VIDEOS
    group = group if by_video else np.arange(len(group))
    return Agreement(
        cosine=estimate(cosines, group),
        overlap=estimate(shares, group),
        num_windows=len(dense),
        num_videos=count,
        num_phrases=len(phrases),
        nearest=nearest,
        drawn="videos" if by_video else "windows",
    )


def overlaps(one: Floats, other: Floats, nearest: int) -> NDArray[np.float64]:
    """Scores (W, P) each -> (W,) the share of the highest `nearest` of a row that both have."""
    first, second = (
        np.argsort(-scores, axis=1, kind="stable")[:, :nearest] for scores in (one, other)
    )
    same = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return np.asarray(same.mean(axis=1), np.float64)


def estimate(values: NDArray[np.float64], group: NDArray[np.int64]) -> Estimate:
    """The mean of values (N,), and its interval by drawing groups (N,), numbered from 0, anew."""
    sums = np.bincount(group, weights=values)
    sizes = np.bincount(group)
    drawn = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(*(round(float(value), 4) for value in (values.mean(), low, high)))
