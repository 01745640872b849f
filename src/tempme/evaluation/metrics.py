"""Recall@K, R-Sum, median and mean rank of a retrieval, both ways; ranks and ties: `ranks.py`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.evaluation.ranks import (
    Matrix,
    Places,
    Targets,
    Ties,
    checked_matrix,
    flat_targets,
    places,
    ranks,
    ranks_in_blocks,
)

__all__ = [
    "BothDirections",
    "RetrievalMetrics",
    "both_directions",
    "both_directions_dual_softmax",
    "dual_softmax",
    "metrics_of",
    "ranks",
    "ranks_in_blocks",
    "retrieval_metrics",
    "summarize",
    "video_queries",
]

COLUMNS_AT_ONCE = 256  # of a dual softmax, which looks at whole columns


@dataclass(frozen=True)
class RetrievalMetrics:
    """Recall in percent (0 to 100), ranks from 1, and over how many queries."""

    r1: float
    r5: float
    r10: float
    r50: float
    rsum: float
    median_rank: float
    mean_rank: float
    num_queries: int

    def log_line(self, prefix: str = "") -> str:
        """CLIP4Clip's line, with N; `prefix` is "V2T$" for the other direction."""
        parts = {
            "R@1": self.r1,
            "R@5": self.r5,
            "R@10": self.r10,
            "Median R": self.median_rank,
            "Mean R": self.mean_rank,
        }
        line = " - ".join(f"{prefix}{name}: {value:.1f}" for name, value in parts.items())
        return f"{line} (N = {self.num_queries})"

    def as_dict(self) -> dict[str, float | int]:
        """The fields by name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class BothDirections:
    """Text to video, and video to text."""

    t2v: RetrievalMetrics
    v2t: RetrievalMetrics

    def log_lines(self) -> str:
        """CLIP4Clip's four lines."""
        return (
            f"Text-to-Video:\n\t>>>  {self.t2v.log_line()}\n"
            f"Video-to-Text:\n\t>>>  {self.v2t.log_line('V2T$')}"
        )


def retrieval_metrics(
    matrix: Matrix, targets: Targets | None = None, *, ties: Ties = "expected"
) -> RetrievalMetrics:
    """The metrics of an (N queries, M items) matrix of scores.

    `targets` holds for each query the column that is right, or several of which the best counts;
    None says query i wants column i, and that the matrix is square. NaN, infinity and a layout that
    does not fit raise BadSetting.
    """
    return metrics_of(places(matrix, targets), ties=ties)


def metrics_of(found: Places, *, ties: Ties = "expected") -> RetrievalMetrics:
    """The metrics of the places of right items."""
    made = summarize(found.ranks(ties), num_queries=len(found.better))
    r1, r5, r10, r50 = (found.recall(k, ties) for k in (1, 5, 10, 50))
    return replace(made, r1=r1, r5=r5, r10=r10, r50=r50, rsum=r1 + r5 + r10)


def summarize(ranks: NDArray[np.float64], *, num_queries: int | None = None) -> RetrievalMetrics:
    """Recall and rank statistics of ranks from 1."""
    if ranks.size == 0:
        raise BadSetting("there are no queries to rank; check that the split has videos on disk")
    r1, r5, r10, r50 = (
        float(100 * np.count_nonzero(ranks <= k) / ranks.size) for k in (1, 5, 10, 50)
    )
    return RetrievalMetrics(
        r1=r1,
        r5=r5,
        r10=r10,
        r50=r50,
        rsum=r1 + r5 + r10,
        median_rank=float(np.median(ranks)),
        mean_rank=float(np.mean(ranks - 1) + 1),  # in the order that rounds as CLIP4Clip does
        num_queries=ranks.size if num_queries is None else num_queries,
    )


def both_directions(
    matrix: Matrix, targets: Targets | None = None, *, ties: Ties = "expected"
) -> BothDirections:
    """Metrics of a (texts, videos) matrix; `targets` is for each text the index of its video.

    With several captions per video each caption is a query of its own from text to video, and from
    video to text the score of a video's captions is the maximum over them (see `video_queries`).
    """
    scores = checked_matrix(matrix)
    reverse, reverse_targets = video_queries(scores, targets)
    return BothDirections(
        t2v=retrieval_metrics(scores, targets, ties=ties),
        v2t=retrieval_metrics(reverse, reverse_targets, ties=ties),
    )


def both_directions_dual_softmax(
    matrix: Matrix,
    targets: Targets | None = None,
    *,
    temperature: float = 100.0,
    ties: Ties = "expected",
) -> BothDirections:
    """`both_directions` after `dual_softmax`: another protocol, for a column of its own."""
    scores = checked_matrix(matrix)
    to_video = retrieval_metrics(dual_softmax(scores, temperature), targets, ties=ties)
    reverse, reverse_targets = video_queries(scores, targets)
    to_text = retrieval_metrics(dual_softmax(reverse, temperature), reverse_targets, ties=ties)
    return BothDirections(to_video, to_text)


def video_queries(
    matrix: Matrix, targets: Targets | None = None
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The video-to-text matrix of a (texts, videos) one, and the right column of each row.

    Row v, column w is the score of video v with the captions of video w: the maximum over them.
    Videos without a caption are not queries; they stay in the text-to-video gallery.
    """
    scores = checked_matrix(matrix)
    text, video = flat_targets(targets, *scores.shape)
    if len(text) != len(scores):
        raise BadSetting("a text describes one video: give one target per text, not several")
    order = np.argsort(video, kind="stable")
    captioned, starts = np.unique(video[order], return_index=True)
    sets = np.maximum.reduceat(scores[text[order]], starts, axis=0)
    return sets.T[captioned], np.arange(len(captioned))


def dual_softmax(matrix: Matrix, temperature: float = 100.0) -> NDArray[np.float64]:
    """Scores times their softmax over the queries (rows), as in CAMoE (Cheng et al., 2021).

    It looks at all queries of the test set at once, which a search engine cannot: never compare it
    with plain ranks. `temperature` multiplies; with cosines use CLIP's scale, 100.
    """
    if not temperature > 0:
        raise BadSetting(
            f"the dual softmax temperature is {temperature}; it multiplies, so above 0"
        )
    scores = checked_matrix(matrix).astype(np.float64)
    for first in range(0, scores.shape[1], COLUMNS_AT_ONCE):
        some = scores[:, first : first + COLUMNS_AT_ONCE]
        prior = np.exp(temperature * (some - some.max(axis=0, keepdims=True)))
        some *= prior
        some /= prior.sum(axis=0, keepdims=True)
    return scores
