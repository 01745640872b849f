"""Questions about generated scenes, made by their grammar."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tempme.errors import BadSetting
from tempme.experiments.asking import QuestionBatches, best_answers, scores
from tempme.experiments.settings import SceneQuestions
from tempme.experiments.world import hash_of
from tempme.retriever.answerer import Answerer
from tempme.scenes import PLAIN_PARTS, Part, Scene, clip, random_scene, scenes
from tempme.scenes.questions import SceneQuestion, ask, every_answer, questions
from tempme.scenes.world import Split
from tempme.training import Recipe
from tempme.training.batches import share
from tempme.training.question_task import QuestionBatch

TEST_SEED, VALIDATION_SEED = 0, 1_000_003
VALIDATION_GALLERY = 50
ORDER, LOOKS = "order", "looks"  # what no frame alone tells, and what one does
VIDEOS_AT_ONCE = 16


@dataclass
class AskedScenes:
    """Questions about generated scenes."""

    data: SceneQuestions
    gallery: int
    answers: tuple[str, ...] = field(default_factory=every_answer)

    def check(self) -> tuple[str, ...]:
        """Scenes are drawn: nothing of them can be missing."""
        return ()

    def batches(self, model: Answerer, recipe: Recipe, seed: int) -> QuestionBatches:
        """New scenes in every batch, the twin of each beside it with the same question."""
        return SceneQuestionBatches(model, self.data.static, recipe.batch, seed)

    def steps(self, recipe: Recipe) -> int:
        """Scenes never end, so only steps say how long."""
        if recipe.epochs is not None:
            raise BadSetting("scenes never end: give recipe.steps rather than recipe.epochs")
        return recipe.steps

    def close(self) -> None:
        """Nothing is open."""

    def judge(self, model: Answerer) -> dict[str, Any]:
        """Two questions about every held-out scene."""
        return _judged_scenes(model, self.gallery, split="test", seed=TEST_SEED)

    def validate(self, model: Answerer) -> dict[str, Any]:
        """About scenes of the training split."""
        gallery = min(VALIDATION_GALLERY, self.gallery)
        return _judged_scenes(model, gallery, split="train", seed=VALIDATION_SEED)

    def facts(self) -> dict[str, Any]:
        """A hash over the test questions: equal only where the grammar is."""
        asked = (
            f"{one.text}\t{one.answer}\n"
            for part in PLAIN_PARTS
            for scene in scenes(self.gallery, part=part, split="test", seed=TEST_SEED)
            for one in questions(scene)
        )
        return {"name": self.data.name, "test": hash_of(asked), "gallery": self.gallery}


@dataclass(frozen=True)
class SceneQuestionBatches:
    """`batch` scenes with a question each."""

    model: Answerer
    static: float
    batch: int
    seed: int

    def part(self, step: int, rank: int, world: int) -> QuestionBatch:
        """The share of one process; only its frames are drawn."""
        rng = random.Random(f"{self.seed}/questions/{step}")
        made: list[tuple[Scene, SceneQuestion]] = []
        while len(made) < self.batch:
            part: Part = "static" if rng.random() < self.static else "temporal"
            scene = random_scene(rng, part, "train")
            asked = ask(rng, scene)
            made.append((scene, asked))
            if scene.twin is not None and asked.needs_order:
                of_twin = {one.text: one for one in questions(scene.twin)}
                made.append((scene.twin, of_twin[asked.text]))
        own = made[: self.batch][share(self.batch, rank, world)]
        frames, size = self.model.num_frames, self.model.image_size
        return QuestionBatch(
            np.stack([clip(scene, frames, size=size) for scene, _ in own]),
            [asked.text for _, asked in own],
            [{asked.answer: 1.0} for _, asked in own],
        )


def _judged_scenes(model: Answerer, gallery: int, *, split: Split, seed: int) -> dict[str, Any]:
    rng = random.Random(f"judge/{seed}")
    answer: dict[str, Any] = {}
    for part in PLAIN_PARTS:
        found = scenes(gallery, part=part, split=split, seed=seed)
        asked = [[ask(rng, scene), ask(rng, scene)] for scene in found]
        given: list[str] = []
        for first in range(0, len(found), VIDEOS_AT_ONCE):
            some = found[first : first + VIDEOS_AT_ONCE]
            frames, size = model.num_frames, model.image_size
            pixels = np.stack([clip(scene, frames, size=size) for scene in some])
            texts = [one.text for both in asked[first : first + len(some)] for one in both]
            given += best_answers(model, model.transform(pixels), texts)
        every = [one for both in asked for one in both]
        kinds = [f"{one.kind} ({ORDER if one.needs_order else LOOKS})" for one in every]
        right = [one.answer for one in every]
        needs = [ORDER if one.needs_order else LOOKS for one in every]
        found_by_need = scores(given, right, needs)["by_type"]
        answer[part] = scores(given, right, kinds) | {
            "by_need": {need: one["percent"] for need, one in found_by_need.items()}
        }
    return answer
