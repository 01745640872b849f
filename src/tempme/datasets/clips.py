"""Training batches of videos on disk, each a function of seed and step (`order`).

Worker processes decode the next step while the trainer is at this one. A file that cannot be read
never becomes a black video: another pair takes its place, the same one whatever the workers, and
the file is counted with its reason; or the run fails, if asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from tempme.datasets.moment_reader import Augment, MomentJob, Reader, augment_of
from tempme.datasets.order import PairOrder
from tempme.datasets.pairs import Split, Video
from tempme.datasets.places import locate
from tempme.errors import BadDataset, BadSetting
from tempme.processes.cores import num_cores
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Crash, Limits, Workers
from tempme.video import Failure, Fit, Reading
from tempme.video.values import Pixels

ON_BAD = ("skip", "fail")
# A clip that takes so many times the limit of a single frame hangs where no clock is looked at.
HANGS = 5.0

Answer: TypeAlias = Pixels | Failure | Crash


class Clips(NamedTuple):
    """Pairs of one step, or one process's share of them.

    frames: uint8 (V, F, S, S, 3). captions: one per video. others: another caption of the same
    video, or the same one where it has no other. videos: a number for each, equal for two
    captions of one video (its place in `Split.moments`).
    """

    frames: Pixels
    captions: list[str]
    others: list[str]
    videos: list[int]


@dataclass
class _Row:
    """One row of a share on its way: the pair it shows, and the clip to come."""

    number: int
    candidates: Iterator[int]
    pair: int = -1
    clip: Future[Answer] | None = None
    place: int = 0


class ClipBatches:
    """Batches of a split's pairs, each with its clip of exactly `frames` frames.

    Steps may be asked for in any order, and share by share; read-ahead follows what was asked last.
    `augment`: False, True for `RandAugment`, one of `AUGMENTS`, or a value; `draws_frames`: a frame
    of each equal part of a clip is drawn, instead of even spacing. `videos` is the folder of the
    files, None where pairs hold their files. Videos that are missing take no part in the order.
    `workers` decode (None: one per core, divided among the processes of a run; 0: this process,
    which then dies with a decoder). `timeout_seconds` limits the wait for each frame,
    `worker_memory_mb` what a process may hold. `failed` says which videos could not be used, and
    why; with `on_bad` "fail" the first of them raises `BadDataset`.
    """

    def __init__(
        self,
        split: Split,
        videos: Path | None = None,
        *,
        frames: int,
        size: int,
        batch: int,
        seed: int,
        augment: Augment | str | bool = False,
        draws_frames: bool = False,
        workers: int | None = None,
        worker_memory_mb: float | None = WORKER_MEMORY_MB,
        on_bad: str = "skip",
        timeout_seconds: float = 60.0,
        fit: Fit = "crop",
        frame_rate: float = 1.0,
    ) -> None:
        reading = Reading(
            frames=frames,
            size=size,
            timeout_seconds=timeout_seconds,
            fit=fit,
            frame_rate=frame_rate,
        )
        if batch < 1:
            raise BadSetting(f"batch is {batch}; it must be 1 or more")
        if on_bad not in ON_BAD:
            raise BadSetting(f"on_bad is {on_bad!r}; possible: {', '.join(ON_BAD)}")
        self.on_bad, self.failed = on_bad, dict[Video, str]()
        self._paths = self._located(split, videos)
        self.order = PairOrder(split.only(self._paths), batch=batch, seed=seed)
        if not self.order.steps_per_epoch:
            raise BadSetting(
                f"{split.name} has {len(self.order.split)} pairs here, fewer than one batch of"
                f" {batch}: make batch smaller"
            )
        self._reader = Reader(reading, augment_of(augment), draws_frames)
        hang = HANGS * timeout_seconds
        self._limits = Limits(timeout_seconds=hang, worker_memory_mb=worker_memory_mb)
        self._num_workers = workers
        self._crew: Workers[MomentJob, Pixels | Failure] | None = None
        self._next: tuple[tuple[int, int, int], list[_Row]] | None = None
        self._bad: set[int] = set()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch over the videos that are there."""
        return self.order.steps_per_epoch

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __getitem__(self, step: int) -> Clips:
        """The whole batch of a step; steps count on through the epochs, without an end."""
        return self.part(step, 0, 1)

    def part(self, step: int, rank: int, world: int) -> Clips:
        """The share `rank` of `world` equal shares of the batch of a step, in order.

        Raises `BadDataset` for a file that cannot be read if asked to, or if none can be.
        """
        batch = self.order.batch
        if not 0 <= rank < world or step < 0:
            raise BadSetting(f"step {step}, share {rank} of {world}: both count from 0")
        if batch % world:
            raise BadSetting(f"a batch of {batch} has no {world} equal shares; use a multiple")
        rows = self._rows_ahead((step, rank, world)) or self._begin(step, rank, world)
        if self._num_workers != 0:
            self._next = ((step + 1, rank, world), self._begin(step + 1, rank, world))
        return self._collect(step, rows)

    def close(self) -> None:
        """End the worker processes; what is still being read is dropped."""
        self._next = None
        if self._crew is not None:
            self._crew.close()

    def __enter__(self) -> ClipBatches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _located(self, split: Split, folder: Path | None) -> dict[Video, Path]:
        """The files of the videos; missing ones are noted."""
        named = next((video for video in split.videos if isinstance(video, str)), None)
        if folder is None and named is not None:
            raise BadSetting(
                f"{split.name} names its videos ({named}, ...): say in which folder they are"
            )
        located = locate(split.videos, folder)
        where = "at this place" if folder is None else f"below {folder}"
        for video, reason in located.refused.items():
            self._fail(video, reason)
        for video in located.missing:
            self._fail(video, f"missing: no file of this name {where}")
        if not located.paths:
            raise BadDataset(
                f"none of the {len(split.videos)} videos of {split.name} is {where}; "
                "`tempme data verify` says what is looked for"
            )
        return located.paths

    def _rows_ahead(self, key: tuple[int, int, int]) -> list[_Row] | None:
        """The rows already on their way; those that nobody asked for are dropped."""
        ahead, self._next = self._next, None
        if ahead is None or ahead[0] == key:
            return None if ahead is None else ahead[1]
        for row in ahead[1]:
            if row.clip is not None:
                row.clip.cancel()
        return None

    def _begin(self, step: int, rank: int, world: int) -> list[_Row]:
        """Have the workers read a share."""
        if self._crew is None:
            cores = max(1, num_cores() // world)
            count = cores if self._num_workers is None else self._num_workers
            self._crew = Workers(self._reader, workers=count, limits=self._limits)
        each, pairs = self.order.batch // world, self.order.pairs(step)
        rows = [
            _Row(number, chain((pairs[number],), self.order.substitutes(step, number)))
            for number in range(rank * each, (rank + 1) * each)
        ]
        self._read(step, rows, self._crew)
        return rows

    def _read(
        self, step: int, rows: Sequence[_Row], crew: Workers[MomentJob, Pixels | Failure]
    ) -> None:
        """Read the next candidate of each row; rows that show one video share its decoding."""
        split, together = self.order.split, dict[int, list[_Row]]()
        for row in rows:
            row.pair = self._next_pair(row.candidates)
            together.setdefault(split.text_targets[row.pair], []).append(row)
        for moment, same in together.items():
            wanted = split.moments[moment]
            looks = tuple(self.order.look(step, row.number) for row in same)
            clip = crew.submit(MomentJob(self._paths[wanted.video], wanted, looks))
            for place, row in enumerate(same):
                row.clip, row.place = clip, place if self._reader.augment else 0

    def _next_pair(self, candidates: Iterator[int]) -> int:
        """The next pair whose video is not known to be bad."""
        targets = self.order.split.text_targets
        for pair in candidates:
            if targets[pair] not in self._bad:
                return pair
        video, reason = next(iter(self.failed.items()))
        raise BadDataset(
            f"no video of {self.order.split.name} can be read; the first, {video}: {reason}"
        )

    def _collect(self, step: int, rows: list[_Row]) -> Clips:
        """Wait for the rows, and replace what could not be read until all are there."""
        reading, split = self._reader.reading, self.order.split
        frames = np.empty((len(rows), reading.frames, reading.size, reading.size, 3), np.uint8)
        waiting = list(enumerate(rows))
        while waiting:
            waiting = [(i, row) for i, row in waiting if not self._took(row, frames[i])]
            if waiting and self._crew is not None:
                self._read(step, [row for _, row in waiting], self._crew)
        captions = split.captions
        return Clips(
            frames,
            [captions[row.pair] for row in rows],
            [captions[self.order.other(step, row.number, row.pair)] for row in rows],
            [split.text_targets[row.pair] for row in rows],
        )

    def _took(self, row: _Row, frames: Pixels) -> bool:
        """Whether the clip of a row was read, and now stands in `frames`."""
        assert row.clip is not None
        answer = row.clip.result()
        row.clip = None  # what was copied need not stay in memory
        if isinstance(answer, np.ndarray):
            frames[:] = answer[row.place]
            return True
        moment = self.order.split.text_targets[row.pair]
        self._bad.add(moment)
        self._fail(self.order.split.moments[moment].video, answer.reason)
        return False

    def _fail(self, video: Video, reason: str) -> None:
        self.failed.setdefault(video, reason)
        if self.on_bad == "fail":
            raise BadDataset(
                f"{video}: {reason}; mend or remove it, or train without it: on_bad = 'skip'"
            )
