"""Losses of distillation: by hand, by gradient, and what they leave alone."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tempme.errors import BadSetting
from tempme.training import CHECKPOINT, fit, weights_of
from tempme.training.distillation import (
    Distillation,
    DistillationTask,
    Taught,
    cosine_loss,
    distillation_loss,
    phrase_loss,
    relation_loss,
)
from training_material import RECIPE, learnt, retriever

X, Y = [1.0, 0.0], [0.0, 1.0]
SLOPE = [0.6, 0.8]


def test_the_cosine_by_hand() -> None:
    student, teacher = torch.tensor([X, SLOPE]), torch.tensor([X, X])
    assert cosine_loss(student, teacher).item() == pytest.approx((0 + 0.4) / 2)


def test_relations_by_hand() -> None:
    # The student's pair has a cosine of 0.6, the teacher's of 0: (0.6 - 0)^2, both ways alike.
    student, teacher = torch.tensor([X, SLOPE]), torch.tensor([X, Y])
    assert relation_loss(student, teacher).item() == pytest.approx(0.36)
    turned = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])  # another basis, the same relations
    assert relation_loss(turned, teacher).item() == pytest.approx(0, abs=1e-12)


def test_a_video_alone_has_no_relations_and_a_gradient_of_zero() -> None:
    one = torch.tensor([SLOPE], requires_grad=True)
    relation_loss(one, torch.tensor([X])).backward()
    assert one.grad is not None
    assert not one.grad.any()


def test_phrases_by_hand() -> None:
    phrases, scale = torch.tensor([X, Y]), math.log(3)
    # Of the teacher (3/4, 1/4) and of the student (1/4, 3/4): 3/4 log 3 + 1/4 log 1/3.
    found = phrase_loss(torch.tensor([Y]), torch.tensor([X]), phrases, scale=scale)
    assert found.item() == pytest.approx(0.5 * math.log(3), rel=1e-6)
    same = torch.tensor([SLOPE, X])
    assert phrase_loss(same, same, phrases, scale=50).item() == pytest.approx(0, abs=1e-6)


def test_the_sum_is_weighted() -> None:
    student, teacher = torch.tensor([X, SLOPE]), torch.tensor([X, Y])
    phrases = torch.tensor([X, Y, SLOPE])
    parts = (
        cosine_loss(student, teacher),
        relation_loss(student, teacher),
        phrase_loss(student, teacher, phrases, scale=7),
    )
    found = distillation_loss(student, teacher, phrases, Distillation(2, 3, 5, scale=7))
    assert found.item() == pytest.approx(
        sum(w * float(p) for w, p in zip((2, 3, 5), parts, strict=True))
    )
    alone = distillation_loss(student, teacher, phrases, Distillation(1, 0, 0))
    assert alone.item() == pytest.approx(float(parts[0]))


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)

    def drawn(rows: int) -> Tensor:
        return torch.randn(rows, 5, generator=generator, dtype=torch.float64)

    teacher, phrases = normalize(drawn(4), dim=-1), normalize(drawn(7), dim=-1)

    def losses(raw: Tensor) -> tuple[Tensor, ...]:
        student = normalize(raw, dim=-1)
        return (
            cosine_loss(student, teacher),
            relation_loss(student, teacher),
            phrase_loss(student, teacher, phrases, scale=9),
        )

    assert torch.autograd.gradcheck(losses, drawn(4).requires_grad_())


def test_agreement_is_where_all_losses_are_least() -> None:
    same = normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    moved = normalize(same + 0.1, dim=-1)
    phrases = torch.eye(6)
    least = distillation_loss(same, same, phrases, Distillation())
    assert least.item() == pytest.approx(0, abs=1e-5)
    assert distillation_loss(moved, same, phrases, Distillation()) > least + 1e-3


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(BadSetting, match=r"student are \(2, 2\), of the teacher \(1, 2\)"):
        distillation_loss(torch.eye(2), torch.tensor([X]), torch.eye(2), Distillation())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cosine": -1.0}, "each is 0 or more"),
        ({"cosine": 0.0, "relations": 0.0, "phrases": 0.0}, "one of them above 0"),
        ({"scale": 0.0}, r"distillation\.scale is 0\.0"),
        ({"phrases": math.nan}, "each is 0 or more"),
    ],
)
def test_settings_are_checked_when_born(settings: dict[str, float], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Distillation(**settings)


class Lesson:
    """The same frames again and again, with the features of another model."""

    def __init__(self, features: Tensor) -> None:
        pixels = np.random.default_rng(5).integers(0, 256, (4, 2, 32, 32, 3), dtype=np.uint8)
        self.taught = Taught(torch.from_numpy(pixels), features)

    def part(self, step: int, rank: int, world: int) -> Taught:
        del step, rank, world
        return self.taught


@pytest.mark.slow
def test_a_student_learns_the_features_that_it_is_given(tmp_path: Path) -> None:
    student, phrases = retriever(), torch.eye(8)
    goal = normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(9)), dim=-1)
    for parameter in student.backbone.text.parameters():
        parameter.requires_grad_(False)
    texts = {n: p.clone() for n, p in student.backbone.text.named_parameters()}
    start = {name: value.clone() for name, value in learnt(student).items()}
    fitted = fit(
        student,
        Lesson(goal),
        replace(RECIPE, steps=25, loggers=()),
        folder=tmp_path,
        show_progress=False,
        learn_by=partial(DistillationTask, phrases=phrases, losses=Distillation(scale=5)),
    )
    assert fitted.history.losses[-1] < 0.7 * fitted.history.losses[0]
    assert any(not torch.equal(value, start[name]) for name, value in learnt(student).items())
    for name, value in student.backbone.text.named_parameters():
        assert torch.equal(value, texts[name]), name
    kept = weights_of(tmp_path / CHECKPOINT)
    assert kept.keys() == learnt(student).keys()  # the rest is in every new student
    assert all(torch.equal(kept[name], value) for name, value in learnt(student).items())
