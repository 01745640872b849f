"""Questions to learn from and to be judged by, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from tempme.answering.accuracy import accuracy, accuracy_by
from tempme.answering.asking import answers_to
from tempme.retriever.answerer import Answerer
from tempme.training import Recipe
from tempme.training.question_task import QuestionBatch


class QuestionBatches(Protocol):
    """Batches by number."""

    def part(self, step: int, rank: int, world: int) -> QuestionBatch:
        """The share of one process."""


class QuestionWorld(Protocol):
    """Questions to learn from, and those by which a model is judged."""

    answers: tuple[str, ...]

    def check(self) -> tuple[str, ...]:
        """Look at all that a run will need; a line for each split of videos."""

    def batches(self, model: Answerer, recipe: Recipe, seed: int) -> QuestionBatches:
        """What the model learns from."""

    def steps(self, recipe: Recipe) -> int:
        """Steps of the whole run, once its batches are there."""

    def close(self) -> None:
        """Nothing more is learnt from it."""

    def judge(self, model: Answerer) -> dict[str, Any]:
        """`{part: {"accuracy", "num_questions", "by_type"}}` of held-out questions."""

    def validate(self, model: Answerer) -> dict[str, Any]:
        """The same of other questions, by which weights may be chosen."""

    def facts(self) -> dict[str, Any]:
        """What the data is."""


def best_answers(model: Answerer, frames: torch.Tensor, texts: Sequence[str]) -> list[str]:
    """The likeliest answer to each question about its video."""
    return [ranked[0].answer for ranked in answers_to(model, frames, texts)]


def scores(given: Sequence[str], right: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    """Accuracy of all, and of every type."""
    answers, wanted = dict(enumerate(given)), dict(enumerate(right))
    whole = accuracy(answers, wanted)
    by_type = accuracy_by(answers, wanted, dict(enumerate(types)))
    return {
        "accuracy": round(whole.percent, 3),
        "num_questions": whole.num_questions,
        "by_type": {
            kind: {"percent": round(one.percent, 3), "num_questions": one.num_questions}
            for kind, one in by_type.items()
        },
    }
