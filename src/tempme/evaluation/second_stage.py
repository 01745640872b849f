"""A split tested in two stages: features find the best, and a match head looks at those again.

Videos are decoded a second time, one after the other, and each is compared with the texts that it
is among the best for, or that are among its own best: the tokens of one video are held at a time.
The first stage is ours, the cosine of one feature a video; the original takes the mean of frames'
cosines, which differs where frames stay apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tempme.backbones.umt.vision import seen
from tempme.datasets.frames import read_pixels
from tempme.datasets.pairs import Split, Video
from tempme.errors import BadDataset
from tempme.evaluation.metrics import BothDirections, metrics_of, summarize
from tempme.evaluation.ranks import Ties, places
from tempme.evaluation.two_stage import NOT_SEEN, TwoStages, official_ranks, two_stages
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Crash, Limits, each_in_processes
from tempme.retriever.matching import matching_umt, read_texts, watch
from tempme.video import Failure, Reading

if TYPE_CHECKING:
    from tempme.evaluation.features import SplitFeatures
    from tempme.retriever.retriever import Retriever
    from tempme.tokens import Tokens

TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class SecondStage:
    """Metrics with the best `k` of every query in the order of the match head.

    behind: all others after them, in the order of the features. official: all others equal, ranked
    as a reversed argsort happens to put them (UMT); see `evaluation.two_stage`.
    """

    k: int
    behind: BothDirections
    official: BothDirections

    def lines(self) -> list[str]:
        """CLIP4Clip's log lines under both rules."""
        return [
            f"Looked at again, the best {self.k} of every query:",
            *self.behind.log_lines().splitlines(),
            "The same by UMT's rule for what was not looked at:",
            *self.official.log_lines().splitlines(),
        ]


@torch.inference_mode()
def look_again(
    retriever: Retriever,
    features: SplitFeatures,
    *,
    paths: Mapping[Video, Path],
    k: int,
    ties: Ties = "expected",
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    on_video: Callable[[int, int], None] | None = None,
) -> SecondStage:
    """Both directions of a split whose features are there; BadSetting without a match head."""
    matching_umt(retriever)
    split = features.split
    similarity = torch.from_numpy(features.texts @ features.videos.T)
    asked = _asked(similarity, k)
    scores = torch.full_like(similarity, NOT_SEEN)
    jobs = [(number, paths[one.video], one) for number, one in enumerate(split.moments)]
    reading = Reading(frames=retriever.num_frames, size=retriever.image_size)
    answers = each_in_processes(
        partial(read_pixels, reading=reading),
        jobs,
        workers=workers,
        limits=Limits(worker_memory_mb=worker_memory_mb),
    )
    words = _words(retriever, split)
    for done, (job, answer) in enumerate(answers, 1):
        number, path, _ = job
        if isinstance(answer, (Failure, Crash)):  # which could be read a moment ago
            raise BadDataset(f"{path} cannot be read a second time: {answer.reason}")
        texts = asked[:, number].nonzero()[:, 0]
        scores[texts, number] = _fit(retriever, words, texts, answer)
        if on_video is not None:
            on_video(done, len(jobs))
    return _judged(similarity, scores, split, k=k, ties=ties)


def _asked(similarity_TV: Tensor, k: int) -> Tensor:
    """(T, V): which pairs are among the best of either side."""
    asked = torch.zeros_like(similarity_TV, dtype=torch.bool)
    for dim in (0, 1):
        most = min(k, similarity_TV.shape[dim])
        best = similarity_TV.sort(dim=dim, descending=True, stable=True).indices
        asked.scatter_(dim, best.narrow(dim, 0, most), True)
    return asked


def _words(retriever: Retriever, split: Split) -> list[Tokens]:
    """The texts, so many at a time, each batch as long as its longest."""
    return [
        read_texts(retriever, split.captions[first : first + TEXTS_AT_ONCE])
        for first in range(0, len(split), TEXTS_AT_ONCE)
    ]


def _fit(retriever: Retriever, words: list[Tokens], texts: Tensor, pixels: np.ndarray) -> Tensor:
    """How well each of the texts, in ascending order, fits one video (F, S, S, 3)."""
    umt = matching_umt(retriever)
    watched = seen(watch(retriever, retriever.transform(pixels[None])))
    found = []
    for number, batch in enumerate(words):
        first = number * TEXTS_AT_ONCE
        own = texts[(texts >= first) & (texts < first + TEXTS_AT_ONCE)] - first
        if len(own):
            some = batch.rows(own.to(watched.device), clips_per_video=1)
            found.append(umt.fits(some, watched)[:, 1].float().cpu())
    return torch.cat(found) if found else torch.empty(0)


def _judged(similarity: Tensor, scores: Tensor, split: Split, *, k: int, ties: Ties) -> SecondStage:
    to_video = _stages(similarity, scores, k)
    to_text = _stages(similarity.T.contiguous(), scores.T.contiguous(), k)
    both = ((to_video, split.text_targets), (to_text, split.video_targets))
    behind = [metrics_of(places(one.behind, targets), ties=ties) for one, targets in both]
    official = [summarize(official_ranks(one.official, targets)) for one, targets in both]
    return SecondStage(k, BothDirections(*behind), BothDirections(*official))


def _stages(similarity_QM: Tensor, scores_QM: Tensor, k: int) -> TwoStages:
    most = min(k, similarity_QM.shape[1])
    return two_stages(similarity_QM, lambda query, items: scores_QM[query, items], k=most)
