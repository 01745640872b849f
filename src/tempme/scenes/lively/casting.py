"""Who plays in a lively scene, what its captions claim, and what else is true of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import permutations

from tempme.scenes.claims import Deeds
from tempme.scenes.lively.stages import place_of, relation
from tempme.scenes.world import TEXTURES, Actor, Split, Thing, home

Draw = Callable[[], Thing]
FEWEST, MORE = 7, 2
"""Things of a scene, and how many more there may be."""
PATTERNS = tuple(texture for texture in TEXTURES if texture != "plain")
"""Textures that captions have a word for."""


def cast(
    rng: random.Random, kind: str, background: str, split: Split, draw: Draw
) -> tuple[Thing, ...]:
    """Seven to nine things, those that captions tell first; one of two told is the split's own.

    Half of the time others mix colours and shapes of the first two, so that neither alone tells
    which is meant. "unlike" all have other names; of "alike" and "texture" the first two share one.
    """
    while True:
        first, second = draw(), draw()
        if kind != "unlike":
            textures = PATTERNS if kind == "texture" else (first.texture,) * 2
            first, second = (first._replace(texture=texture) for texture in rng.sample(textures, 2))
        others = [draw() for _ in range(FEWEST - 2 + rng.randrange(MORE + 1))]
        if rng.random() < 0.5:
            mixed = (second if kind == "unlike" else draw()), first
            others[:2] = (
                one._replace(colour=a.colour, shape=b.shape)
                for one, a, b in zip(others, mixed, mixed[::-1], strict=False)
            )
        things = (first, second, *others)
        if _is_right(things, kind, background, split):
            return things


def _is_right(things: Sequence[Thing], kind: str, background: str, split: Split) -> bool:
    names = {thing.name for thing in things}
    homes = [home(thing, background) for thing in things]
    is_ours = split in homes[:2] and {"train", split} >= set(homes)
    return is_ours and len(names) == len(things) - (kind != "unlike")


def told(plot: str, actors: Sequence[Actor], verbs: Sequence[str]) -> Deeds:
    """What every caption claims at least, whichever way time runs."""
    first, second = actors[:2]
    if plot == "where":
        return frozenset({_relation(first, second)})
    if plot == "which-place":
        return frozenset({(first.thing.name, place_of(first.track), *verbs)})
    if plot == "which-texture":
        return frozenset({(first.thing.name, first.thing.texture, *verbs)})
    if plot == "leave-and-come":
        return frozenset((actor.thing.name, "leaves") for actor in (first, second))
    return frozenset((actor.thing.name, verb) for actor, verb in zip(actors, verbs, strict=False))


def shown(plot: str, actors: Sequence[Actor], verbs: Sequence[str]) -> Deeds:
    """All that a caption of any lively scene could truly claim of this one."""
    acts: set[tuple[str, ...]] = set()
    for actor, verb in zip(actors, verbs, strict=False):
        thing, place = actor.thing, place_of(actor.track)
        acts |= {(thing.name, verb), (thing.name, place, verb), (thing.name, thing.texture, verb)}
    lies = {_relation(one, other) for one, other in permutations(actors, 2)}
    return told(plot, actors, verbs) | lies | acts


def _relation(one: Actor, other: Actor) -> tuple[str, ...]:
    return one.thing.name, relation(one.track, other.track), other.thing.name


def exchanged(actors: Sequence[Actor], what: str) -> tuple[Actor, ...]:
    """The first two with each other's places, or with each other's textures."""
    first, second, *others = actors
    if what == "textures":
        return (
            first._replace(thing=first.thing._replace(texture=second.thing.texture)),
            second._replace(thing=second.thing._replace(texture=first.thing.texture)),
            *others,
        )
    return _moved(first, to=second), _moved(second, to=first), *others


def _moved(actor: Actor, *, to: Actor) -> Actor:
    here, there = actor.track[0][1], to.track[0][1]
    dx, dy = there.x - here.x, there.y - here.y
    track = tuple((at, pose._replace(x=pose.x + dx, y=pose.y + dy)) for at, pose in actor.track)
    return actor._replace(track=track)
