"""Questions about scenes: one answer each, and some that no frame alone can tell."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tempme.backbones.umt.wordpiece import WordPiece
from tempme.scenes import Part, scenes
from tempme.scenes.questions import KINDS, ask, every_answer, every_word, questions


@pytest.mark.parametrize("part", ["static", "temporal"])
def test_every_question_has_one_answer_of_the_list(part: Part) -> None:
    answers = set(every_answer())
    for scene in scenes(200, part=part, split="test"):
        found = questions(scene)
        assert found
        assert len({one.text for one in found}) == len(found)
        assert {one.answer for one in found} <= answers


def test_what_needs_order_has_another_answer_for_the_twin() -> None:
    asked: Counter[str] = Counter()
    for scene in scenes(300, part="temporal", split="train"):
        assert scene.twin is not None
        of_twin = {one.text: one for one in questions(scene.twin)}
        for one in questions(scene):
            other = of_twin[one.text]
            assert (other.answer != one.answer) == one.needs_order == other.needs_order
            asked[f"{scene.plot} {one.needs_order}"] += 1
    plots = {name.split()[0] for name in asked}
    assert {f"{plot} True" for plot in plots} <= asked.keys()  # every plot has some


def test_answers_are_spread_over_the_twins() -> None:
    """To guess without looking is no better than by chance: each answer stands beside another."""
    for kind in ("direction", "number"):
        counts: Counter[str] = Counter()
        for scene in scenes(400, part="temporal", split="test"):
            found = [one for one in questions(scene) if one.kind == kind and one.needs_order]
            counts.update(one.answer for one in found)
        by_pair = sorted(counts.values())
        assert by_pair[::2] == by_pair[1::2]


def test_static_scenes_need_no_order() -> None:
    found = [one for scene in scenes(50, part="static", split="val") for one in questions(scene)]
    assert not any(one.needs_order for one in found)
    assert {one.kind for one in found} == {"colour", "shape", "number"}


def test_all_kinds_are_asked() -> None:
    rng = random.Random(0)
    some = [ask(rng, scene) for scene in scenes(400, part="temporal", split="train")]
    assert {one.kind for one in some} == set(KINDS)
    assert 0.35 < sum(one.needs_order for one in some) / len(some) < 0.65


def test_a_vocabulary_of_all_words() -> None:
    words = WordPiece.of_words(every_word())
    for part in ("static", "temporal"):
        for scene in scenes(100, part=part, split="test"):  # type: ignore[arg-type]
            for one in questions(scene):
                assert not words.unknown(one.text), one
                assert not words.unknown(one.answer), one
