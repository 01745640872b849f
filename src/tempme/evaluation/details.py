"""What is behind the numbers of an evaluation: every query's rank, all scores, the worst misses."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.datasets.pairs import Moment
from tempme.evaluation.evaluate import MATRIX_SCORES
from tempme.evaluation.features import SplitFeatures
from tempme.evaluation.ranks import Places, places_in_blocks
from tempme.evaluation.report import EvaluationReport
from tempme.evaluation.sets import places_of_sets

REPORT, RANKS, VIDEO_RANKS = "report.json", "ranks.csv", "video-ranks.csv"
MISSES, MATRIX = "misses.csv", "similarity.npy"
NUM_MISSES = 50


def write_details(
    report: EvaluationReport, features: SplitFeatures, folder: Path
) -> tuple[str, ...]:
    """Write the files; their names.

    report.json; ranks.csv, a row for each caption: its video, its rank and how many wrong videos
    tie; video-ranks.csv, the same for each video; misses.csv, the captions furthest from their
    video, with what came first instead; similarity.npy, fp32 (captions, videos) in the order of the
    two tables, unless that is more than 0.4 GB.
    """
    split = features.split
    to_video = places_in_blocks(features.texts, features.videos, split.text_targets)
    to_text = places_of_sets(features.videos, features.texts, split.video_targets)
    report.save(folder / REPORT)
    own = [split.moments[target] for target in split.text_targets]
    _write(folder / RANKS, ["caption"], zip(split.captions, strict=True), own, to_video)
    numbers = ([len(captions)] for captions in split.video_targets)
    _write(folder / VIDEO_RANKS, ["captions"], numbers, split.moments, to_text)
    _write_misses(folder / MISSES, features, to_video)
    names = [REPORT, RANKS, VIDEO_RANKS, MISSES]
    if len(features.texts) * len(features.videos) <= MATRIX_SCORES:
        with replacing(folder / MATRIX) as draft:
            np.save(draft, features.texts @ features.videos.T)
        names.append(MATRIX)
    return tuple(names)


def _write(
    path: Path,
    head: Sequence[str],
    first: Iterator[Any],
    moments: Sequence[Moment],
    found: Places,
) -> None:
    columns = (first, moments, found.ranks("expected"), found.equal)
    rows = (
        [*some, *_moment(moment), rank, equal]
        for some, moment, rank, equal in zip(*columns, strict=True)
    )
    _save(path, [*head, "video", "start", "end", "rank", "ties"], rows)


def _write_misses(path: Path, features: SplitFeatures, found: Places) -> None:
    """The worst first; what came first instead of the right video."""
    split, ranks = features.split, found.ranks("expected")
    worst = [int(i) for i in np.argsort(-ranks, kind="stable")[:NUM_MISSES] if ranks[i] > 1]
    head = ["rank", "caption", "video", "score", "first", "first_score"]
    _save(path, head, (_miss(features, i, ranks[i], split.moments) for i in worst))


def _miss(
    features: SplitFeatures, i: int, rank: float, moments: Sequence[Moment]
) -> list[str | float]:
    scores: NDArray[np.float32] = features.videos @ features.texts[i]
    target, first = features.split.text_targets[i], int(scores.argmax())
    own, other = (" ".join(map(str, _moment(moments[n]))).strip() for n in (target, first))
    caption = features.split.captions[i]
    return [
        rank,
        caption,
        own,
        round(float(scores[target]), 4),
        other,
        round(float(scores[first]), 4),
    ]


def _moment(moment: Moment) -> tuple[str, float | str, float | str]:
    start, end = moment.start_seconds, moment.end_seconds
    return str(moment.video), "" if start is None else start, "" if end is None else end


def _save(path: Path, head: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
