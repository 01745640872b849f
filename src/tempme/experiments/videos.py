"""Videos on disk with captions: published data sets, and a person's own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempme.datasets.clips import ClipBatches
from tempme.datasets.pairs import Split, Video, id_of
from tempme.datasets.places import locate, probe_place
from tempme.datasets.table import FOLDER, open_split
from tempme.errors import BadDataset, BadSetting
from tempme.evaluation.evaluate import examine, num_cut
from tempme.experiments.settings import VideoData
from tempme.experiments.world import hash_of
from tempme.processes.pool import Crash, Limits, each_in_processes
from tempme.retriever.retriever import Retriever
from tempme.training import Batch, Batches, Recipe
from tempme.video import Failure

TEST, VALIDATION = "test", "validation"
NO_VALIDATION = (
    "data.validation is not set: name a split to choose weights by, or set evaluation.select to "
    "'last' (or 'test', as the paper does)"
)
FILES_AT_ONCE = 4  # looked at until one can be read
NAMED = 3  # of what is missing


@dataclass
class ExperimentVideos:
    """The videos of an experiment."""

    data: VideoData
    clips: list[ClipBatches] = field(default_factory=list)
    _opened: dict[str, Split] = field(default_factory=dict)

    def batches(self, retriever: Retriever, recipe: Recipe, seed: int) -> Batches:
        """Pairs of the training split, decoded ahead by worker processes."""
        clips = ClipBatches(
            self.split(self.data.train),
            self.folder,
            frames=retriever.num_frames,
            size=retriever.image_size,
            batch=recipe.batch,
            seed=seed,
            augment=self.data.augment,
            draws_frames=self.data.draws_frames,
            workers=self.data.workers,
            worker_memory_mb=self.data.worker_memory_mb,
            on_bad=self.data.on_bad,
            fit=retriever.system.fit,
            frame_rate=self.data.frame_rate,
        )
        self.clips.append(clips)
        return ClipsAsBatches(clips)

    def steps(self, recipe: Recipe) -> int:
        """Epochs, each as many whole batches as its pairs make; or the steps that were asked."""
        if recipe.epochs is None:
            return recipe.steps
        return recipe.epochs * self.clips[-1].steps_per_epoch

    def close(self) -> None:
        """End the processes that decode."""
        for clips in self.clips:
            clips.close()

    def judge(self, retriever: Retriever) -> dict[str, Any]:
        """Metrics of the test split."""
        return {TEST: self._metrics(retriever, self.data.test)}

    def validate(self, retriever: Retriever) -> Mapping[str, Any]:
        """Metrics of the validation split."""
        if self.data.validation is None:
            raise BadSetting(NO_VALIDATION)
        return {VALIDATION: self._metrics(retriever, self.data.validation)}

    def check(self, judged: Sequence[str]) -> tuple[str, ...]:
        """Open every split, find its files, and read one of each that is judged.

        A line for each split: what of it is used, and what is left out. BadDataset where a split
        cannot be used at all, or, with `on_bad` "fail", not as a whole.
        """
        if VALIDATION in judged and self.data.validation is None:
            raise BadSetting(NO_VALIDATION)
        lines = []
        for role, name in self._splits().items():
            split = self.split(name)
            located = locate(split.videos, self.folder)
            where = "" if self.folder is None else f" below {self.folder}"
            if not located.paths:
                raise BadDataset(
                    f"none of the {len(split.videos)} videos of {split.name} ({role}) is there"
                    f"{where}; `tempme data verify` says what is looked for"
                )
            lost = [*located.missing, *located.refused]
            if lost and self.data.on_bad == "fail":
                raise BadDataset(
                    f"{lost[0]} of {split.name} ({role}) is missing{where}, and {len(lost) - 1} "
                    f"more: get it, or go on without: on_bad = 'skip'"
                )
            if role in judged:
                self._check_readable(split, list(located.paths.values()))
            lines.append(_line(role, split, split.only(located.paths), lost))
        return tuple(lines)

    def cut_texts(self, retriever: Retriever) -> str:
        """How many captions of the training split lose their end."""
        split, words = self.split(self.data.train), retriever.system.max_words
        cut = num_cut(retriever, split.captions)
        if not cut:
            return ""
        return f"{cut:,} of {len(split):,} captions of {split.name} are cut to {words} words"

    def facts(self) -> dict[str, Any]:
        """A hash of every split that was used, and the videos that could not be."""
        used = dict.fromkeys(self._splits().values())
        return {
            "name": self.data.name,
            "splits": {name: _hash(self.split(name)) for name in sorted(used)},
            "failed": {str(v): why for one in self.clips for v, why in one.failed.items()},
        }

    @property
    def folder(self) -> Path | None:
        """Where the videos are; None where pairs hold their files."""
        if self.data.name == FOLDER:
            return None
        return Path(self.data.videos or self.data.annotations)

    def split(self, name: str) -> Split:
        """A split of the data set."""
        if name not in self._opened:
            self._opened[name] = open_split(
                self.data.name,
                name,
                annotations=Path(self.data.annotations),
                videos=None if self.data.videos is None else Path(self.data.videos),
            )
        return self._opened[name]

    def _splits(self) -> dict[str, str]:
        """Which split does what."""
        roles = {"train": self.data.train, "validation": self.data.validation}
        return {role: name for role, name in (roles | {TEST: self.data.test}).items() if name}

    def _check_readable(self, split: Split, paths: Sequence[Path]) -> None:
        """BadDataset unless some video of a split can be read; the first is looked at, mostly."""
        limits = Limits(worker_memory_mb=self.data.worker_memory_mb)
        why = ""
        for first in range(0, len(paths), FILES_AT_ONCE):
            some = paths[first : first + FILES_AT_ONCE]
            for _, answer in each_in_processes(probe_place, some, workers=1, limits=limits):
                if not isinstance(answer, (Failure, Crash)):
                    return
                why = answer.reason
        raise BadDataset(f"no video of {split.name} can be read; the last: {why}")

    def _metrics(self, retriever: Retriever, split: str) -> dict[str, Any]:
        report, _ = examine(
            retriever,
            self.split(split),
            videos=self.folder,
            workers=self.data.workers,
            worker_memory_mb=self.data.worker_memory_mb,
            frame_rate=self.data.frame_rate,
        )
        plain = report.scores.plain
        return {
            "t2v": plain.t2v.as_dict(),
            "v2t": plain.v2t.as_dict(),
            "num_videos": report.num_videos,
            "num_listed": report.num_listed,
        }


@dataclass(frozen=True)
class ClipsAsBatches:
    """`ClipBatches` as `Batches`."""

    clips: ClipBatches

    def part(self, step: int, rank: int, world: int) -> Batch:
        """The share of one process."""
        return Batch(*self.clips.part(step, rank, world))


def _hash(split: Split) -> dict[str, Any]:
    """Equal wherever the videos lie and however they were re-encoded."""
    pairs = hash_of(
        f"{id_of(pair.video)}\t{pair.start_seconds}\t{pair.end_seconds}\t{pair.caption}\n"
        for pair in split.pairs
    )
    return {"pairs": len(split), "videos": len(split.videos), "hash": pairs}


def _line(role: str, split: Split, used: Split, missing: Sequence[Video]) -> str:
    """What of a split is used, for a person."""
    line = f"{role} ({split.name}): {len(used):,} captions of {len(used.videos):,} videos are used"
    if not missing:
        return line
    names = ", ".join(map(str, missing[:NAMED])) + (", ..." if len(missing) > NAMED else "")
    return (
        f"{line}, {len(missing):,} of {len(split.videos):,} videos are left out: missing ({names})"
    )
