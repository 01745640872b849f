"""Features of a split's captions and videos, which are decoded while the retriever encodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tempme.datasets.frames import read_pixels
from tempme.datasets.pairs import Split, Video
from tempme.errors import BadDataset
from tempme.evaluation.devices import Crew
from tempme.processes.cores import sharing_cores
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Crash, Limits, each_in_processes
from tempme.video import Failure, Reading

if TYPE_CHECKING:
    from tempme.retriever.retriever import Retriever

Numbered = tuple[int, NDArray[np.uint8]]  # place of a moment, its frames (F, S, S, 3)

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class SplitFeatures:
    """Unit features of a split (fp32), and what could not be read."""

    split: Split
    texts: NDArray[np.float32]
    videos: NDArray[np.float32]
    failed: dict[Video, str]
    seconds: float


def encode(
    retrievers: Sequence[Retriever],
    split: Split,
    *,
    paths: Mapping[Video, Path],
    batch: int = 16,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    frame_rate: float = 1.0,
    on_video: Callable[[int, int], None] | None = None,
) -> SplitFeatures:
    """Features of every caption and moment; moments that cannot be read leave with their captions.

    Videos are decoded in worker processes while the retrievers, which are one model on several
    devices, encode; one that makes a process hold more than `worker_memory_mb` cannot be read.
    """
    start, retriever = time.perf_counter(), retrievers[0]
    jobs = [(number, paths[one.video], one) for number, one in enumerate(split.moments)]
    reading = Reading(
        frames=retriever.num_frames,
        size=retriever.image_size,
        fit=retriever.system.fit,
        frame_rate=frame_rate,
    )
    read = partial(read_pixels, reading=reading)
    rows: dict[int, NDArray[np.float32]] = {}
    failed: dict[Video, str] = {}
    waiting: list[Numbered] = []
    limits = Limits(worker_memory_mb=worker_memory_mb)
    answers = sharing_cores(each_in_processes(read, jobs, workers=workers, limits=limits))
    with Crew(retrievers, _encode_videos) as crew:
        for done, (job, answer) in enumerate(answers, 1):
            number, _, moment = job
            if isinstance(answer, (Failure, Crash)):
                failed[moment.video] = answer.reason
            else:
                waiting.append((number, answer))
            if len(waiting) == batch or (waiting and done == len(jobs)):
                for part in crew.put(waiting):
                    rows |= part
                waiting = []
            if on_video is not None:
                on_video(done, len(jobs))
        for part in crew.rest():
            rows |= part
    if not rows:
        video, reason = next(iter(failed.items()))
        raise BadDataset(f"no video of {split.name} can be read; the first, {video}: {reason}")
    kept = split.only([video for video in split.videos if video not in failed])
    place = {moment: number for number, moment in enumerate(split.moments)}
    return SplitFeatures(
        split=kept,
        texts=encode_texts(retriever, kept.captions),
        videos=np.stack([rows[place[moment]] for moment in kept.moments]),
        failed=failed,
        seconds=round(time.perf_counter() - start, 3),
    )


@torch.inference_mode()
def encode_texts(retriever: Retriever, texts: Sequence[str]) -> NDArray[np.float32]:
    """(T, D) unit features, some texts at a time."""
    parts = [
        retriever.encode_texts(texts[first : first + TEXTS_AT_ONCE]).float().cpu().numpy()
        for first in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    return np.concatenate(parts)


@torch.inference_mode()
def _encode_videos(
    retriever: Retriever, waiting: Sequence[Numbered]
) -> dict[int, NDArray[np.float32]]:
    """Place of the moment -> feature (D,)."""
    pixels = np.stack([frames for _, frames in waiting])
    features = retriever.encode_videos(retriever.transform(pixels)).float().cpu().numpy()
    return {number: row for (number, _), row in zip(waiting, features, strict=True)}
