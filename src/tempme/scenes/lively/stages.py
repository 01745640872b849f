"""How lively plots are staged: each thing in a quarter of the picture, wandering a little."""

from __future__ import annotations

import random

from tempme.scenes.stages import Things, Verbs, full_turn
from tempme.scenes.world import Actor, Pose, Thing, Track

CORNERS = {
    "top left": (0.25, 0.25),
    "top right": (0.75, 0.25),
    "bottom left": (0.25, 0.75),
    "bottom right": (0.75, 0.75),
}
RADII = (0.09, 0.105, 0.12)
WANDER = 0.035
"""How far a thing strays from the middle of its quarter."""


def corner_of(track: Track) -> str:
    """The quarter in which a track begins, as captions call it."""
    first = track[0][1]
    return f"{'top' if first.y < 0.5 else 'bottom'} {'left' if first.x < 0.5 else 'right'}"


def stand(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """All stay, each in a quarter of its own."""
    del verbs
    return tuple(
        Actor(thing, _wander(rng, pose)) for thing, pose in zip(things, _poses(rng), strict=True)
    )


def one_acts(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first does something for a moment; the others, its double among them, stay."""
    since = rng.uniform(0.1, 0.5)
    first, *others = _poses(rng)
    actor = Actor(things[0], pulse(first, things[0], verbs[0], since=since, lasts=0.4))
    return (actor, *(Actor(t, _wander(rng, p)) for t, p in zip(things[1:], others, strict=True)))


def one_by_one(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Three things do something for a moment, one after the other; the fourth stays."""
    *poses, last = _poses(rng)
    actors = [
        Actor(thing, pulse(pose, thing, verb, since=since, lasts=0.28))
        for thing, pose, verb, since in zip(things, poses, verbs, (0.03, 0.36, 0.69), strict=False)
    ]
    return (*actors, Actor(things[3], _wander(rng, last)))


def leave_and_come(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first goes out of the picture; after that the second comes into it."""
    del verbs
    one, other, *rest = _poses(rng)
    goes = ((0.0, one), (0.1, one), (0.4, _outside(one)), (1.0, _outside(one)))
    comes = ((0.0, _outside(other)), (0.6, _outside(other)), (0.9, other), (1.0, other))
    stay = (Actor(t, _wander(rng, p)) for t, p in zip(things[2:], rest, strict=True))
    return (Actor(things[0], goes), Actor(things[1], comes), *stay)


def pulse(pose: Pose, thing: Thing, verb: str, *, since: float, lasts: float) -> Track:
    """Something that is over after a share of the duration."""
    peak = {
        "jumps": pose._replace(y=pose.y - 0.17),
        "grows": pose._replace(radius=pose.radius * 1.7),
        "shrinks": pose._replace(radius=pose.radius * 0.45),
        "turns": pose._replace(degrees=full_turn(thing)),
        "vanishes": pose._replace(shown=0.0),
    }[verb]
    shares = (0.0, 0.3, 0.7, 1.0)
    keys = tuple(
        (since + lasts * share, what)
        for share, what in zip(shares, (pose, peak, peak, pose), strict=True)
    )
    return ((0.0, pose), *keys, (1.0, pose))


def _poses(rng: random.Random) -> list[Pose]:
    """A pose in every quarter, the quarters in any order."""
    corners = list(CORNERS.values())
    rng.shuffle(corners)
    radius = rng.choice(RADII)
    return [Pose(x + _stray(rng), y + _stray(rng), radius) for x, y in corners]


def _stray(rng: random.Random) -> float:
    return rng.uniform(-WANDER, WANDER)


def _wander(rng: random.Random, pose: Pose) -> Track:
    there = pose._replace(x=pose.x + _stray(rng), y=pose.y + _stray(rng))
    return ((0.0, pose), (rng.uniform(0.3, 0.7), there), (1.0, pose))


def _outside(pose: Pose) -> Pose:
    return pose._replace(x=-0.3 if pose.x < 0.5 else 1.3)
