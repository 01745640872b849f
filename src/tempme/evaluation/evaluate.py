"""A split and a retriever -> EvaluationReport: accuracy, cost, and N beside every number."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.datasets.pairs import Split
from tempme.datasets.places import Located, locate
from tempme.errors import BadDataset, BadSetting
from tempme.evaluation.devices import for_inference_on
from tempme.evaluation.features import SplitFeatures, encode, encode_texts
from tempme.evaluation.known_answers import KnownAnswers, ask_known_answers
from tempme.evaluation.metrics import (
    BothDirections,
    both_directions_dual_softmax,
    metrics_of,
    video_queries,
)
from tempme.evaluation.query_bank import BankScores, score_with_bank
from tempme.evaluation.ranks import Ties, places, places_in_blocks
from tempme.evaluation.sets import places_of_sets
from tempme.processes.limits import WORKER_MEMORY_MB

if TYPE_CHECKING:
    from tempme.cost import Cost
    from tempme.retriever.retriever import Retriever

# Scores that are held as one matrix (0.4 GB in fp32, and 0.8 GB more while the dual softmax is
# taken); beyond, ranks are counted block by block, and there is no dual softmax.
MATRIX_SCORES = 100_000_000


@dataclass(frozen=True)
class Scores:
    """Accuracy of some features.

    `dual_softmax` looks at all queries at once: a protocol of its own, never to be compared with
    the plain numbers; None where the matrix is too large. `query_bank` is another such protocol,
    where a bank was given. `num_tied` texts have a wrong video with the very score of the right
    one, `num_tied_videos` videos a wrong text: many mean a collapsed model, or captions that come
    twice.
    """

    plain: BothDirections
    dual_softmax: BothDirections | None
    num_tied: int
    num_tied_videos: int
    query_bank: BankScores | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """What was evaluated, how well, at which cost, and what was left out."""

    split: str
    system: str
    fingerprint: str
    precision: str
    ties: str
    fit: str
    scores: Scores
    num_texts: int
    num_videos: int
    num_moments: int
    num_listed: int
    num_cut: int
    missing: tuple[str, ...]
    failed: dict[str, str]
    cost: Cost
    seconds: float
    known_answers: KnownAnswers

    @property
    def is_complete(self) -> bool:
        """Whether the numbers are of the whole split."""
        return not self.missing and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON."""
        return {**asdict(self), "is_complete": self.is_complete}

    def save(self, path: Path) -> None:
        """Write the JSON document."""
        with replacing(path) as draft:
            draft.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")

    def lines(self) -> tuple[str, ...]:
        """CLIP4Clip's log lines, what they were computed on, and what is missing."""
        lines = [
            f"{self.split}, {self.system}: {self.num_texts:,} texts, {self.num_videos:,} of"
            f" {self.num_listed:,} videos, {self.cost.gmacs:.1f} G multiply-adds a video",
            *self.scores.plain.log_lines().splitlines(),
        ]
        if self.scores.dual_softmax is not None:
            lines.append("With dual softmax over all queries (another protocol):")
            lines.extend(self.scores.dual_softmax.log_lines().splitlines())
        if (bank := self.scores.query_bank) is not None:
            lines.append(
                f"With QB-Norm, a query bank of {bank.num_queries:,} training captions (another "
                f"protocol):\n\t>>>  {bank.t2v.log_line()}"
            )
        if not self.is_complete:
            lines.append(
                f"Not the whole split: {len(self.missing):,} videos are missing,"
                f" {len(self.failed):,} cannot be read"
            )
        tied = {"texts": self.scores.num_tied, "videos": self.scores.num_tied_videos}
        for what, other in (("texts", "video"), ("videos", "text")):
            if tied[what]:
                lines.append(
                    f"{tied[what]:,} {what} tie with a wrong {other} (counted by: {self.ties})"
                )
        if self.num_cut:
            lines.append(f"{self.num_cut:,} texts are longer than the model reads, and were cut")
        return tuple(lines)


def evaluate(
    retriever: Retriever,
    split: Split,
    *,
    videos: Path | None = None,
    batch: int = 16,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    precision: str = "fp32",
    ties: Ties = "expected",
    frame_rate: float = 1.0,
    devices: int | None = None,
    on_video: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """The report of `examine`."""
    return examine(
        retriever,
        split,
        videos=videos,
        batch=batch,
        workers=workers,
        worker_memory_mb=worker_memory_mb,
        precision=precision,
        ties=ties,
        frame_rate=frame_rate,
        devices=devices,
        on_video=on_video,
    )[0]


def examine(
    retriever: Retriever,
    split: Split,
    *,
    videos: Path | None = None,
    batch: int = 16,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    precision: str = "fp32",
    ties: Ties = "expected",
    frame_rate: float = 1.0,
    devices: int | None = None,
    query_bank: Sequence[str] | None = None,
    on_video: Callable[[int, int], None] | None = None,
) -> tuple[EvaluationReport, SplitFeatures]:
    """Known answers, then how `retriever` does on what of `split` is below `videos`; features.

    `videos` may be left out where pairs hold their files. Videos that are missing or cannot be
    read are left out with their captions, and named in the report. devices: how many GPUs, or
    threads where there is none, encode at the same time; None stays where the retriever is.
    frame_rate: pictures a second, where videos are folders of pictures. query_bank: captions of the
    training split, for QB-Norm beside the plain scores.
    """
    start = time.perf_counter()
    copies = for_inference_on(retriever, precision, devices)
    passed = ask_known_answers(copies[0])
    located = _located(split, videos)
    if not located.paths:
        raise BadDataset(
            f"none of the {len(split.videos)} videos of {split.name} is there"
            f"{f' below {videos}' if videos else ''}; `tempme data verify` says what is looked for"
        )
    features = encode(
        copies,
        split.only(located.paths),
        paths=located.paths,
        frame_rate=frame_rate,
        batch=batch,
        workers=workers,
        worker_memory_mb=worker_memory_mb,
        on_video=on_video,
    )
    used = features.split
    report = EvaluationReport(
        split=split.name,
        system=retriever.system.name,
        fingerprint=retriever.fingerprint,
        precision=copies[0].precision,
        ties=ties,
        fit=retriever.system.fit,
        scores=replace(
            score(features.texts, features.videos, used, ties=ties),
            query_bank=_with_bank(copies[0], query_bank, features, ties),
        ),
        num_texts=len(used),
        num_videos=len(used.videos),
        num_moments=len(used.moments),
        num_listed=len(split.videos),
        num_cut=num_cut(retriever, used.captions),
        missing=tuple(map(str, located.missing)),
        failed={str(v): why for v, why in (located.refused | features.failed).items()},
        cost=retriever.system.cost(),
        seconds=round(time.perf_counter() - start, 3),
        known_answers=passed,
    )
    return report, features


def score(
    texts: NDArray[np.float32],
    videos: NDArray[np.float32],
    split: Split,
    *,
    ties: Ties = "expected",
    matrix_scores: int = MATRIX_SCORES,
) -> Scores:
    """Accuracy of unit features (T, D) and (V, D), in the order of the split's captions, moments.

    More than `matrix_scores` scores are ranked in blocks, without the dual softmax.
    """
    if texts.shape[:1] != (len(split),) or videos.shape[:1] != (len(split.moments),):
        raise BadSetting(
            f"{len(texts)} text and {len(videos)} video features, but {split.name} has"
            f" {len(split)} captions of {len(split.moments)} moments"
        )
    if texts.shape[0] * videos.shape[0] > matrix_scores:
        return _score_in_blocks(texts, videos, split, ties)
    matrix, targets = texts @ videos.T, split.text_targets
    reverse, own = video_queries(matrix, targets)
    to_video, to_text = places(matrix, targets), places(reverse, own)
    del reverse
    return Scores(
        plain=BothDirections(metrics_of(to_video, ties=ties), metrics_of(to_text, ties=ties)),
        dual_softmax=both_directions_dual_softmax(matrix, targets, ties=ties),
        num_tied=to_video.num_tied,
        num_tied_videos=to_text.num_tied,
    )


def num_cut(retriever: Retriever, texts: Sequence[str]) -> int:
    """How many texts are longer than the retriever reads."""
    cut, words = retriever.tokenizer.is_cut, retriever.system.max_words
    return sum(cut(text, max_words=words) for text in texts)


def _with_bank(
    retriever: Retriever, bank: Sequence[str] | None, features: SplitFeatures, ties: Ties
) -> BankScores | None:
    if bank is None:
        return None
    return score_with_bank(
        encode_texts(retriever, bank),
        features.texts,
        features.videos,
        features.split.text_targets,
        ties=ties,
    )


def _score_in_blocks(
    texts: NDArray[np.float32], videos: NDArray[np.float32], split: Split, ties: Ties
) -> Scores:
    to_video = places_in_blocks(texts, videos, split.text_targets)
    to_text = places_of_sets(videos, texts, split.video_targets)
    return Scores(
        plain=BothDirections(metrics_of(to_video, ties=ties), metrics_of(to_text, ties=ties)),
        dual_softmax=None,
        num_tied=to_video.num_tied,
        num_tied_videos=to_text.num_tied,
    )


def _located(split: Split, folder: Path | None) -> Located:
    """Where the split's videos are."""
    named = [video for video in split.videos if isinstance(video, str)]
    if folder is None and named:
        raise BadSetting(
            f"{split.name} names its videos ({named[0]}, ...): say in which folder they are"
        )
    return locate(split.videos, folder)
