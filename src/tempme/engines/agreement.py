"""How near the features of an engine are to those of PyTorch in fp32, and what follows from it.

Nearer than LIMIT, an index may mix both: they have one fingerprint. Others are named in it, so that
no features meet that are too far apart to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 10
MARK = "+"


@dataclass(frozen=True)
class EngineAgreement:
    """Of features of the same videos and texts, made in two ways.

    cosine: the mean over videos and texts, whichever is lower. least: that of the worst feature.
    overlap: how much of the ten best videos of a text are the same, the mean over texts.
    """

    cosine: float
    least: float
    overlap: float

    def within(self, limit: EngineAgreement) -> bool:
        """Whether all of it is as near as the limit."""
        return (
            self.cosine >= limit.cosine
            and self.least >= limit.least
            and self.overlap >= limit.overlap
        )


# Looked at on generated clips, where overlaps are larger than on real ones: int8 of scenes-tiny has
# 0.98 there and 0.94 on 85 real clips (docs/results.md), which is too far apart to be mixed.
LIMIT = EngineAgreement(cosine=0.998, least=0.98, overlap=0.99)
EXACT = EngineAgreement(cosine=1.0, least=1.0, overlap=1.0)


def agreement(
    exact: tuple[NDArray[np.float32], NDArray[np.float32]],
    near: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> EngineAgreement:
    """Unit features of videos (V, D) and texts (T, D), twice -> how near they are."""
    cosines = [(one * other).sum(axis=1) for one, other in zip(exact, near, strict=True)]
    best = [_best(texts @ videos.T) for videos, texts in (exact, near)]
    shared = [
        len(set(a) & set(b)) / len(a) for a, b in zip(*map(np.ndarray.tolist, best), strict=True)
    ]
    return EngineAgreement(
        cosine=min(_number(each.mean()) for each in cosines),
        least=min(_number(each.min()) for each in cosines),
        overlap=float(np.mean(shared)),
    )


def named(fingerprint: str, engine: str, precision: str, near: EngineAgreement) -> str:
    """The fingerprint of features that agree so with those of `fingerprint`."""
    if near.within(LIMIT):
        return fingerprint
    return f"{fingerprint}{MARK}{engine}-{precision}"


def engine_in(fingerprint: str) -> tuple[str, str] | None:
    """The engine and the precision that a fingerprint names, if it names any."""
    _, mark, rest = fingerprint.partition(MARK)
    if not mark:
        return None
    engine, _, precision = rest.partition("-")
    return engine, precision


def without_engine(fingerprint: str) -> str:
    """The fingerprint of the model alone."""
    return fingerprint.partition(MARK)[0]


def _number(cosine: np.floating[Any]) -> float:
    """The cosine; 0 where a feature is no number."""
    return float(np.nan_to_num(cosine, nan=0.0))


def _best(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")[:, : min(TOP, max(1, scores.shape[1] // 2))]
