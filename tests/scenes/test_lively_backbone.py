"""What the backbone of lively scenes is asked while it is trained, and that it learns from that."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from lively_backbone import LOOKS, PLOTS, TAPS, Course, Heads, Questions, questions
from tempme.scenes.lively.labels import NOTHING, PLACES
from tempme.scenes.world import COLOURS, SHAPES

GRID = 7


def drawn(seed: int = 3, pairs: int = 6) -> Questions:
    return questions(random.Random(seed), pairs, PLOTS["pictures"], grid=GRID)


def test_places_are_those_that_patches_show() -> None:
    found = drawn()
    for patches, places in zip(found.patches.numpy(), found.places.numpy(), strict=True):
        shown = {tuple(label) for label in patches if label[0] != NOTHING}
        assert {(*places[number], number) for number in {label[3] for label in shown}} <= shown
        hidden = set(range(len(PLACES))) - {label[3] for label in shown}
        assert (places[sorted(hidden)] == NOTHING).all()


def test_captions_are_asked_for_what_they_name() -> None:
    found = questions(random.Random(5), 40, ("where",), grid=GRID, is_drawn=False)
    asked = 0
    for caption, told in zip(found.captions, found.told.numpy(), strict=True):
        for number in np.flatnonzero(told[:, 0] != NOTHING):
            name = f"{tuple(COLOURS)[told[number, 0]]} {SHAPES[told[number, 1]]}"
            assert f"at the {PLACES[number]}" in caption
            assert name in caption or f"{name}" in caption.replace("striped ", "")
            asked += 1
    assert asked > 40


def test_rivals_stand_side_by_side_with_other_answers() -> None:
    found = questions(random.Random(5), 10, ("where",), grid=GRID)
    assert len(found.captions) == 20
    assert all((one != other).any() for one, other in found.places.view(10, 2, 9, 3))


def test_heads_that_know_lose_nothing() -> None:
    found, heads = drawn(), Heads(width=4, embed=4)
    labels = found.patches
    colour, shape, texture, place = labels.unbind(-1)
    truth = (
        *(colour, shape, texture),
        *(colour * len(PLACES) + place, shape * len(PLACES) + place, colour * len(SHAPES) + shape),
    )
    is_there = colour != NOTHING
    sure = [torch.where(is_there, 40.0, -40.0)[..., None]]
    for kind, right in zip(heads.kinds, truth, strict=True):
        sure.append(40.0 * torch.nn.functional.one_hot(right.clamp(min=0), kind))
    logits = torch.cat(sure, dim=-1)
    assert heads.of_patches(logits, labels) < 1e-5
    assert heads.of_patches(-logits, labels) > 10
    assert sum(heads.kinds[:3]) == sum(LOOKS)


@pytest.mark.slow
def test_a_course_goes_on_from_the_stages_that_are_there(tmp_path: Path) -> None:
    course = Course(seed=0)
    before = course.clip.vision.position_embedding.norm(dim=-1).mean().item()
    assert before > 10  # as large as the patches that they are added to
    for stage in ("pictures", "captions", "both"):
        course.learn(stage, steps=2)
    course.save(tmp_path)
    again = Course(seed=0)
    again.take(tmp_path)
    for one, other in (
        (course.clip.state_dict(), again.clip.state_dict()),
        (course.heads.state_dict(), again.heads.state_dict()),
    ):
        assert all(torch.equal(other[name], value) for name, value in one.items())
    assert len(course.heads.taps) == len(TAPS)
