"""Videos on disk with captions: published data sets, and a person's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempme.datasets.clips import ClipBatches
from tempme.datasets.pairs import Split
from tempme.datasets.table import FOLDER, open_split
from tempme.errors import BadSetting
from tempme.evaluation.evaluate import evaluate
from tempme.experiments.settings import VideoData
from tempme.experiments.world import hash_of
from tempme.retriever.retriever import Retriever
from tempme.training import Batch, Batches, Recipe

TEST = "test"


@dataclass
class ExperimentVideos:
    """The videos of an experiment."""

    data: VideoData
    clips: list[ClipBatches] = field(default_factory=list)

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
            workers=self.data.workers,
            worker_memory_mb=self.data.worker_memory_mb,
            on_bad=self.data.on_bad,
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
        return self._metrics(retriever, self.data.test)

    def validate(self, retriever: Retriever) -> Mapping[str, Any]:
        """Metrics of the validation split."""
        if self.data.validation is None:
            raise BadSetting(
                "data.validation is not set: name a split to choose weights by, or set "
                "evaluation.select to 'last' (or 'test', as the paper does)"
            )
        return self._metrics(retriever, self.data.validation)

    def facts(self) -> dict[str, Any]:
        """A hash of every split that was used, and the videos that could not be."""
        used = {self.data.train, self.data.validation, self.data.test} - {None}
        return {
            "name": self.data.name,
            "splits": {name: _hash(self.split(str(name))) for name in sorted(map(str, used))},
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
        return open_split(self.data.name, name, annotations=Path(self.data.annotations))

    def _metrics(self, retriever: Retriever, split: str) -> dict[str, Any]:
        report = evaluate(
            retriever,
            self.split(split),
            videos=self.folder,
            workers=self.data.workers,
            worker_memory_mb=self.data.worker_memory_mb,
        )
        plain = report.scores.plain
        return {
            TEST: {
                "t2v": plain.t2v.as_dict(),
                "v2t": plain.v2t.as_dict(),
                "num_videos": report.num_videos,
                "num_listed": report.num_listed,
            }
        }


@dataclass(frozen=True)
class ClipsAsBatches:
    """`ClipBatches` as `Batches`."""

    clips: ClipBatches

    def part(self, step: int, rank: int, world: int) -> Batch:
        """The share of one process."""
        return Batch(*self.clips.part(step, rank, world))


def _hash(split: Split) -> dict[str, Any]:
    pairs = hash_of(
        f"{pair.video}\t{pair.start_seconds}\t{pair.end_seconds}\t{pair.caption}\n"
        for pair in split.pairs
    )
    return {"pairs": len(split), "videos": len(split.videos), "hash": pairs}
