"""A split and a retriever -> EvaluationReport: accuracy, cost, and N beside every number."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tempme.datasets.pairs import Split
from tempme.datasets.places import Located, locate
from tempme.engines.choice import EngineChoice
from tempme.errors import BadDataset, BadSetting
from tempme.evaluation.devices import for_inference_on
from tempme.evaluation.features import SplitFeatures, encode, encode_texts
from tempme.evaluation.known_answers import ask_known_answers
from tempme.evaluation.metrics import (
    BothDirections,
    both_directions_dual_softmax,
    metrics_of,
    video_queries,
)
from tempme.evaluation.query_bank import BankScores, score_with_bank
from tempme.evaluation.ranks import Ties, places, places_in_blocks
from tempme.evaluation.report import EvaluationReport, Scores
from tempme.evaluation.second_stage import look_again
from tempme.evaluation.sets import places_of_sets
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.retriever.matching import check_rerank

if TYPE_CHECKING:
    from tempme.retriever.retriever import Retriever

# Scores that are held as one matrix (0.4 GB in fp32, and 0.8 GB more while the dual softmax is
# taken); beyond, ranks are counted block by block, and there is no dual softmax.
MATRIX_SCORES = 100_000_000


def examine(
    retriever: Retriever,
    split: Split,
    *,
    videos: Path | None = None,
    batch: int = 16,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    precision: str = "fp32",
    engine: str = "auto",
    ties: Ties = "expected",
    rerank: int | None = None,
    frame_rate: float = 1.0,
    devices: int | None = None,
    query_bank: Sequence[str] | None = None,
    on_video: Callable[[int, int], None] | None = None,
) -> tuple[EvaluationReport, SplitFeatures]:
    """Known answers, then how `retriever` does on what of `split` is below `videos`; features.

    `videos` may be left out where pairs hold their files. Videos that are missing or cannot be
    read are left out with their captions, and named in the report. rerank: so many of the best of
    every query are looked at again, by the match head of a model that has one. devices: how many
    GPUs, or threads where there is none, encode at the same time; None stays where the retriever
    is. frame_rate: pictures a second, where videos are folders of pictures. query_bank: captions of
    the training split, for QB-Norm beside the plain scores. engine: as of `for_inference`.
    """
    check_rerank(retriever, rerank)
    start = time.perf_counter()
    copies = for_inference_on(retriever, EngineChoice(engine, precision), devices)
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
    again = None
    if rerank is not None:
        again = look_again(
            copies[0],
            features,
            paths=located.paths,
            k=rerank,
            ties=ties,
            workers=workers,
            worker_memory_mb=worker_memory_mb,
            on_video=on_video,
        )
    report = EvaluationReport(
        split=split.name,
        system=retriever.system.name,
        fingerprint=copies[0].fingerprint,
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
        second_stage=again,
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
