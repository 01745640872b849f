"""Questions about scenes, made by the grammar that makes their captions, with their answers.

Every plot has questions that one frame answers (what colour, which shape) and most have some that
none can: the twin of a scene has the same frames in another order, and another answer. Things are
told apart by what a question says of them, so that no question has two answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from tempme.scenes.scene import Scene
from tempme.scenes.stages import PULSES
from tempme.scenes.world import COLOURS, SHAPES, plural

Kind = Literal["colour", "shape", "first", "number", "direction"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NUMBERS = ("one", "two", "three")
# What a thing does in a plot of one thing: what is asked, the answer, and that of the twin.
_DEEDS: dict[str, tuple[Kind, str, str, str]] = {
    "cross": ("direction", "does the {a} move left or right", "right", "left"),
    "rise": ("direction", "does the {a} move up or down", "up", "down"),
    "sway": ("first", "where does the {a} go first", "left", "right"),
    "grow": ("direction", "does the {a} grow or shrink", "grow", "shrink"),
    "grow-and-turn": ("first", "what does the {a} do first", "grow", "turn"),
    "appear": ("direction", "does the {a} appear or disappear", "appear", "disappear"),
    "approach": ("direction", "does the {a} come closer or leave", "closer", "leave"),
}
# Which of two things comes first: what is asked of it, and of the twin alike.
_ORDERS = {
    "hit": "{what} moves first",
    "arrive": "{what} comes or goes first",
    "recolour": "{what} is there first",
    "reshape": "{what} is there first",
}
_WHAT: dict[Kind, str] = {"colour": "what colour", "shape": "which shape"}
_PLACES = {"beside": ("on the left", "on the right"), "above": ("at the top", "at the bottom")}


@dataclass(frozen=True)
class SceneQuestion:
    """A question about a scene, and its answer.

    needs_order: no frame alone tells the answer, and the twin has another one.
    """

    text: str
    answer: str
    kind: Kind
    needs_order: bool = False


def questions(scene: Scene) -> tuple[SceneQuestion, ...]:
    """Every question that the grammar has about a scene."""
    return (*_about_looks(scene), *_about_order(scene))


def ask(rng: random.Random, scene: Scene) -> SceneQuestion:
    """One of them: of those that need order as often as of the others, where there are both."""
    some = questions(scene)
    of_order = [one for one in some if one.needs_order]
    of_looks = [one for one in some if not one.needs_order]
    return rng.choice(of_order if of_order and rng.random() < 0.5 else of_looks or of_order)


def every_answer() -> tuple[str, ...]:
    """What may be answered: a list of which a model has to choose."""
    deeds = (answer for _, _, *both in _DEEDS.values() for answer in both)
    return tuple(dict.fromkeys((*COLOURS, *SHAPES, *NUMBERS, *deeds, *PULSES)))


def every_word() -> Iterator[str]:
    """Texts that hold every word of questions and answers."""
    yield from every_answer()
    yield from (text.format(a="") for _, text, *_ in _DEEDS.values())
    yield from (text.format(what="") for text in _ORDERS.values())
    yield from (place for both in _PLACES.values() for place in both)
    yield from (*_WHAT.values(), *map(plural, SHAPES))
    yield "what happens first how many are there at first in the end is the"


def _about_looks(scene: Scene) -> Iterator[SceneQuestion]:
    """What one frame tells: colours, shapes, and how many there are where nothing changes."""
    first, *others = scene.things
    for thing in scene.things:
        rest = [other for other in scene.things if other is not thing]
        if all(thing.shape != other.shape for other in rest) and scene.plot != "recolour":
            yield SceneQuestion(f"what colour is the {thing.shape}", thing.colour, "colour")
        if all(thing.colour != other.colour for other in rest) and scene.plot != "reshape":
            yield SceneQuestion(f"which shape is {thing.colour}", thing.shape, "shape")
    if scene.part == "static" and others:
        for thing, place in zip(scene.things, _PLACES[scene.plot], strict=True):
            yield SceneQuestion(f"what colour is the shape {place}", thing.colour, "colour")
            yield SceneQuestion(f"which shape is {place}", thing.shape, "shape")
        alike = 1 + (others[0].shape == first.shape)
        asked = f"how many {plural(first.shape)} are there"
        yield SceneQuestion(asked, NUMBERS[alike - 1], "number")


def _about_order(scene: Scene) -> Iterator[SceneQuestion]:
    """What no frame tells."""
    back = scene.is_reversed
    if scene.plot in _DEEDS:
        kind, text, *both = _DEEDS[scene.plot]
        yield SceneQuestion(
            text.format(a=scene.things[0].shape), both[back], kind, needs_order=True
        )
    if scene.plot == "multiply":
        many = plural(scene.things[0].shape)
        ends = ("one", "three")
        for when, number in (("at first", ends[back]), ("in the end", ends[not back])):
            asked = f"how many {many} are there {when}"
            yield SceneQuestion(asked, number, "number", needs_order=True)
    if scene.plot in _ORDERS:
        yield from _which(_ORDERS[scene.plot], scene)
    if scene.plot == "in-turn" and scene.verbs[0] != scene.verbs[1]:
        yield SceneQuestion("what happens first", scene.verbs[back], "first", needs_order=True)


def _which(text: str, scene: Scene) -> Iterator[SceneQuestion]:
    """Which of two things it is: by colour and by shape, where these tell them apart."""
    one, other = scene.things
    asked = scene.things[scene.is_reversed]
    if one.colour != other.colour:
        what = text.format(what="what colour")
        yield SceneQuestion(what, asked.colour, "first", needs_order=True)
    if one.shape != other.shape:
        what = text.format(what="which shape")
        yield SceneQuestion(what, asked.shape, "first", needs_order=True)
