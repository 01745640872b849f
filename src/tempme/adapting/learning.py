"""A student learns its teacher's features of some windows, until those held out get no nearer."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tempme.adapting.measuring import Floats, features_of
from tempme.adapting.models import learning_videos
from tempme.adapting.settings import Adapting
from tempme.retriever.retriever import Retriever
from tempme.training import Fitted, Recipe, fit
from tempme.training.distillation import (
    Distillation,
    DistillationTask,
    Taught,
    distillation_loss,
)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Windows (W, F, S, S, 3) with the teacher's features (W, D), and of phrases (P, D).

    learnt, apart: the numbers of windows to learn from, and of those held out.
    """

    pixels: NDArray[np.uint8]
    features: Floats
    phrases: Floats
    learnt: NDArray[np.int64]
    apart: NDArray[np.int64]


class TaughtBatches:
    """Batches by number: every window comes once before any comes again, in an order drawn anew."""

    def __init__(self, lessons: Lessons, *, batch: int, seed: int) -> None:
        self.lessons, self.seed = lessons, seed
        self.batch = min(batch, len(lessons.learnt))

    def part(self, step: int, rank: int, world: int) -> Taught:
        """The share of one process."""
        own = self.numbers(step)[rank::world]
        frames = np.array(self.lessons.pixels[own])
        return Taught(torch.from_numpy(frames), torch.from_numpy(self.lessons.features[own]))

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The windows of a step."""
        learnt, found = self.lessons.learnt, []
        for place in range(step * self.batch, (step + 1) * self.batch):
            turn, within = divmod(place, len(learnt))
            found.append(learnt[self._order(turn)[within]])
        return np.asarray(found, np.int64)

    def _order(self, turn: int) -> list[int]:
        order = list(range(len(self.lessons.learnt)))
        random.Random(f"{self.seed}/{turn}").shuffle(order)
        return order


def score(lessons: Lessons, features: Floats, losses: Distillation | None = None) -> float:
    """How near features (A, D) of the windows held out are to the teacher's; higher is nearer."""
    ours, theirs, phrases = map(
        torch.from_numpy, (features, lessons.features[lessons.apart], lessons.phrases)
    )
    return -float(distillation_loss(ours, theirs, phrases, losses or Distillation()))


def learn(
    student: Retriever,
    lessons: Lessons,
    settings: Adapting,
    *,
    folder: Path,
    show_progress: bool = True,
) -> Fitted[Retriever]:
    """Train the student in place, its texts left alone; it goes on where it was cut off.

    The best weights by the windows held out are in `best.ckpt`; `best_score` is theirs.
    """
    recipe = Recipe(
        steps=settings.steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        weight_decay=0.0,  # what is learnt is a step off the teacher: nothing to shrink
        precision="fp32",
        validate_every=min(settings.validate_every, settings.steps),
        patience=settings.patience,
        save_every=settings.save_every,
        loggers=(),
    )

    def validate(asked: Retriever) -> tuple[float, Mapping[str, float]]:
        found = features_of(asked, lessons.pixels[lessons.apart])
        cosine = (found * lessons.features[lessons.apart]).sum(axis=1).mean()
        return score(lessons, found), {"cosine": round(float(cosine), 4)}

    with learning_videos(student):
        return fit(
            student,
            TaughtBatches(lessons, batch=settings.batch, seed=settings.seed),
            recipe,
            folder=folder,
            seed=settings.seed,
            validate=validate,
            show_progress=show_progress,
            learn_by=partial(DistillationTask, phrases=torch.from_numpy(lessons.phrases)),
        )
