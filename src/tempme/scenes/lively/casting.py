"""Who plays in a lively scene, what its captions claim, and what else is true of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tempme.scenes.lively.stages import corner_of
from tempme.scenes.world import TEXTURES, Actor, Split, Thing, home

Deeds = frozenset[tuple[str, ...]]
Draw = Callable[[], Thing]
PATTERNS = tuple(texture for texture in TEXTURES if texture != "plain")
"""Textures that captions have a word for."""


def cast(
    rng: random.Random, kind: str, background: str, split: Split, draw: Draw
) -> tuple[Thing, ...]:
    """Four things, those that captions tell first; one of these is the split's own.

    Half of the time the others mix colours and shapes of the first two, so that neither alone
    tells which is meant. "four" have four names; of "alike" and "texture" the first two share one.
    """
    while True:
        first, second = draw(), draw()
        if kind != "four":
            textures = PATTERNS if kind == "texture" else (first.texture,) * 2
            first, second = (first._replace(texture=texture) for texture in rng.sample(textures, 2))
        others = [draw(), draw()]
        if rng.random() < 0.5:
            mixed = (second if kind == "four" else draw()), first
            others = [
                one._replace(colour=a.colour, shape=b.shape)
                for one, a, b in zip(others, mixed, mixed[::-1], strict=True)
            ]
        things = (first, second, *others)
        if _is_right(things, kind, background, split):
            return things


def _is_right(things: Sequence[Thing], kind: str, background: str, split: Split) -> bool:
    names = {thing.name for thing in things}
    homes = [home(thing, background) for thing in things]
    is_ours = split in homes[:2] and {"train", split} >= set(homes)
    return is_ours and len(names) == (4 if kind == "four" else 3)


def told(plot: str, actors: Sequence[Actor], verbs: Sequence[str]) -> Deeds:
    """What every caption claims, whichever way time runs."""
    first, second = actors[:2]
    if plot == "where":
        return frozenset((actor.thing.name, corner_of(actor.track)) for actor in (first, second))
    if plot == "which-place":
        return frozenset({(first.thing.name, corner_of(first.track), *verbs)})
    if plot == "which-texture":
        return frozenset({(first.thing.name, first.thing.texture, *verbs)})
    if plot == "leave-and-come":
        return frozenset((actor.thing.name, "leaves") for actor in (first, second))
    return frozenset((actor.thing.name, verb) for actor, verb in zip(actors, verbs, strict=False))


def shown(plot: str, actors: Sequence[Actor], verbs: Sequence[str]) -> Deeds:
    """All that a caption of any lively scene could truly claim of this one."""
    lies = {(actor.thing.name, corner_of(actor.track)) for actor in actors}
    acts: set[tuple[str, ...]] = set()
    for actor, verb in zip(actors, verbs, strict=False):
        thing, corner = actor.thing, corner_of(actor.track)
        acts |= {(thing.name, verb), (thing.name, corner, verb), (thing.name, thing.texture, verb)}
    return told(plot, actors, verbs) | lies | acts


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
