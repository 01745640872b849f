"""Questions about videos on disk: published data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempme.answering.accuracy import type_of
from tempme.datasets.clips import ClipBatches
from tempme.datasets.pairs import Pair, Split
from tempme.datasets.places import locate
from tempme.datasets.published.msrvtt_qa import Question
from tempme.datasets.table import dataset
from tempme.errors import BadDataset, BadSetting
from tempme.experiments.asking import QuestionBatches, best_answers, scores
from tempme.experiments.settings import VideoData
from tempme.experiments.world import hash_of
from tempme.retriever.answerer import Answerer
from tempme.training import Recipe
from tempme.training.question_task import QuestionBatch
from tempme.video import Failure, Reading, load

SEPARATOR = "\n"  # between a question and its answer, on their way through `ClipBatches`


@dataclass
class AskedVideos:
    """Questions about videos on disk."""

    data: VideoData
    answers: tuple[str, ...] = ()
    _clips: list[ClipBatches] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = dataset(self.data.name)
        if known.answers is None:
            raise BadSetting(f"{self.data.name} has no answers")
        self.answers = known.answers(Path(self.data.annotations))

    def check(self) -> tuple[str, ...]:
        """Which questions of every split can be asked; BadDataset where none can."""
        return self._used(self._splits())

    def check_test(self) -> tuple[str, ...]:
        """The same of the test split alone."""
        return self._used({"test": self.data.test})

    def _used(self, splits: Mapping[str, str]) -> tuple[str, ...]:
        lines = []
        for role, name in splits.items():
            every = self._asked(name)
            there = self._located(every)
            if not there:
                raise BadDataset(
                    f"none of the videos of {self.data.name} ({role}) is below {self._folder}; "
                    f"`tempme data verify` says what is looked for"
                )
            lines.append(f"{role} ({name}): {len(there):,} of {len(every):,} questions are used")
        return tuple(lines)

    def batches(self, model: Answerer, recipe: Recipe, seed: int) -> QuestionBatches:
        """Questions of the training split whose answer is in the list, decoded ahead."""
        known = set(self.answers)
        pairs = tuple(
            Pair(one.video, f"{one.question}{SEPARATOR}{one.answer}")
            for one in self._asked(self.data.train)
            if one.answer in known
        )
        clips = ClipBatches(
            Split(f"{self.data.name}/{self.data.train}", pairs),
            self._folder,
            frames=model.num_frames,
            size=model.image_size,
            batch=recipe.batch,
            seed=seed,
            augment=self.data.augment,
            draws_frames=self.data.draws_frames,
            workers=self.data.workers,
            worker_memory_mb=self.data.worker_memory_mb,
            on_bad=self.data.on_bad,
        )
        self._clips.append(clips)
        return ClipQuestions(clips)

    def steps(self, recipe: Recipe) -> int:
        """Epochs, each as many whole batches as its questions make; or the steps asked for."""
        if recipe.epochs is None:
            return recipe.steps
        return recipe.epochs * self._clips[-1].steps_per_epoch

    def close(self) -> None:
        """End the processes that decode."""
        for clips in self._clips:
            clips.close()

    def judge(self, model: Answerer) -> dict[str, Any]:
        """Accuracy on the test split, and of every type of question."""
        return {"test": self._judged(model, self.data.test)}

    def validate(self, model: Answerer) -> dict[str, Any]:
        """The same on the validation split."""
        if self.data.validation is None:
            raise BadSetting("data.validation is not set: name a split to choose weights by")
        return {"validation": self._judged(model, self.data.validation)}

    def facts(self) -> dict[str, Any]:
        """A hash of every split that was used."""
        used = sorted(set(self._splits().values()))
        return {
            "name": self.data.name,
            "splits": {name: _hash(self._asked(name)) for name in used},
            "failed": {str(v): why for one in self._clips for v, why in one.failed.items()},
        }

    @property
    def _folder(self) -> Path:
        return Path(self.data.videos or self.data.annotations)

    def _splits(self) -> dict[str, str]:
        roles = {"train": self.data.train, "validation": self.data.validation}
        return {role: name for role, name in (roles | {"test": self.data.test}).items() if name}

    def _asked(self, split: str) -> tuple[Question, ...]:
        known = dataset(self.data.name).ask
        if known is None:
            raise BadSetting(f"{self.data.name} has no questions")
        return known(Path(self.data.annotations), split)

    def _located(self, asked: Sequence[Question]) -> Mapping[Question, Path]:
        paths = locate(tuple(dict.fromkeys(one.video for one in asked)), self._folder).paths
        return {one: paths[one.video] for one in asked if one.video in paths}

    def _judged(self, model: Answerer, split: str) -> dict[str, Any]:
        """What cannot be read counts as not answered."""
        by_video: dict[Path, list[Question]] = {}
        for one, path in self._located(self._asked(split)).items():
            by_video.setdefault(path, []).append(one)
        reading = Reading(frames=model.num_frames, size=model.image_size, fit="squash")
        given: list[str] = []
        right: list[str] = []
        types: list[str] = []
        for path, asked in by_video.items():
            read = load(path, reading)
            texts = [one.question for one in asked]
            if isinstance(read, Failure):
                given += ["" for _ in asked]
            else:
                given += best_answers(model, model.transform(read.pixels[None]), texts)
            right += [one.answer for one in asked]
            types += [type_of(text) for text in texts]
        return scores(given, right, types)


@dataclass(frozen=True)
class ClipQuestions:
    """`ClipBatches` whose captions are questions and answers, as batches of questions."""

    clips: ClipBatches

    def part(self, step: int, rank: int, world: int) -> QuestionBatch:
        """The share of one process."""
        found = self.clips.part(step, rank, world)
        both = [text.partition(SEPARATOR) for text in found.captions]
        return QuestionBatch(
            found.frames, [text for text, _, _ in both], [{answer: 1.0} for _, _, answer in both]
        )


def _hash(asked: Sequence[Question]) -> dict[str, Any]:
    lines = (f"{one.video}\t{one.question}\t{one.answer}\n" for one in asked)
    videos = len({one.video for one in asked})
    return {"questions": len(asked), "videos": videos, "hash": hash_of(lines)}
