"""How each plot is staged: the tracks of its actors, drawn by lot within what stays legible."""

from __future__ import annotations

import random
from collections.abc import Callable

from tempme.scenes.world import SIZES, Actor, Pose, Thing, Track

RADIUS = 0.16

Things = tuple[Thing, ...]
Verbs = tuple[str, ...]
Stage = Callable[[random.Random, Things, Verbs], tuple[Actor, ...]]


def _jitter(rng: random.Random, spread: float = 0.03) -> float:
    return rng.uniform(-spread, spread)


def _path(*keys: tuple[float, Pose]) -> Track:
    """The keys, held still before the first and after the last."""
    return ((0.0, keys[0][1]), *keys, (1.0, keys[-1][1]))


# Static: two things and how they lie.


def _lie(rng: random.Random, things: Things, *, is_vertical: bool) -> tuple[Actor, ...]:
    """The first thing left of (or above) the second, both drifting a little."""
    actors = []
    for thing, middle in zip(things, (0.27, 0.73), strict=True):
        along, across = middle + _jitter(rng), 0.5 + _jitter(rng, 0.14)
        x, y = (across, along) if is_vertical else (along, across)
        radius = SIZES[thing.size] * rng.choice((0.95, 1.0, 1.05))
        degrees = rng.choice((-10.0, 0.0, 0.0, 10.0))
        start = Pose(x, y, radius, degrees)
        end = Pose(x + _jitter(rng), y + _jitter(rng), radius, degrees)
        actors.append(Actor(thing, ((0.0, start), (1.0, end))))
    return tuple(actors)


def beside(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first thing left of the second."""
    del verbs
    return _lie(rng, things, is_vertical=False)


def above(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first thing above the second."""
    del verbs
    return _lie(rng, things, is_vertical=True)


# Temporal: one thing.


def travel(is_vertical: bool, *stops: float) -> Callable[..., tuple[Actor, ...]]:
    """One thing goes through the stops along an axis, spending the same time on each way."""

    def stage(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
        del verbs
        across = 0.5 + _jitter(rng, 0.2)
        keys = []
        for number, along in enumerate(stops):
            x, y = (across, along) if is_vertical else (along, across)
            at = 0.06 + 0.88 * number / (len(stops) - 1)
            keys.append((at, Pose(x, y, RADIUS * 1.1)))
        return (Actor(things[0], _path(*keys)),)

    return stage


def grow(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Small at first, large at the end."""
    del verbs
    x, y = 0.5 + _jitter(rng, 0.08), 0.5 + _jitter(rng, 0.08)
    return (Actor(things[0], _path((0.1, Pose(x, y, 0.09)), (0.9, Pose(x, y, 0.34)))),)


def grow_and_turn(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Grows in the first half, turns in the second."""
    del verbs
    x, y = 0.5 + _jitter(rng), 0.5 + _jitter(rng)
    turn = full_turn(things[0])
    keys = ((0.06, 0.12, 0.0), (0.46, 0.32, 0.0), (0.54, 0.32, 0.0), (0.94, 0.32, turn))
    return (Actor(things[0], _path(*((at, Pose(x, y, r, degrees)) for at, r, degrees in keys))),)


def full_turn(thing: Thing) -> float:
    """A turn after which the shape looks as different as it can."""
    return {"square": 45.0, "cross": 45.0}.get(thing.shape, 180.0)


def _presence(pose: Pose, *, since: float) -> Track:
    """Absent until the share `since` of the duration, then there."""
    absent = pose._replace(shown=0.0)
    return _path((since - 0.01, absent), (since + 0.01, pose))


def appear(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Absent at first, there from half time on."""
    del verbs
    pose = Pose(0.5 + _jitter(rng, 0.2), 0.5 + _jitter(rng, 0.2), 0.24)
    return (Actor(things[0], _presence(pose, since=0.5)),)


def multiply(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """One, then two, then three of the same."""
    del verbs
    places = [0.19, 0.5, 0.81]
    rng.shuffle(places)
    poses = [Pose(x, 0.5 + _jitter(rng, 0.2), 0.13) for x in places]
    first = ((0.0, poses[0]), (1.0, poses[0]))
    return (
        Actor(things[0], first),
        Actor(things[0], _presence(poses[1], since=0.32)),
        Actor(things[0], _presence(poses[2], since=0.68)),
    )


# Temporal: two things, or one that becomes another.


def become(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first thing is replaced by the second at half time, on the spot."""
    del verbs
    pose = Pose(0.5 + _jitter(rng, 0.15), 0.5 + _jitter(rng, 0.15), 0.26)
    gone = pose._replace(shown=0.0)
    before = _path((0.49, pose), (0.51, gone))
    return (Actor(things[0], before), Actor(things[1], _presence(pose, since=0.5)))


def _sides(rng: random.Random) -> tuple[Callable[[float], float], float]:
    """Left to right or right to left: a map of places, and the line they lie on."""
    is_mirrored = rng.random() < 0.5
    return (lambda x: 1 - x if is_mirrored else x), 0.5 + _jitter(rng, 0.15)


def hit(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first comes up to the second; from then on the second flies off and the first stays."""
    del verbs
    side, y = _sides(rng)
    radius = 0.13
    a, b = ((0.05, 0.15), (0.46, 0.37)), ((0.54, 0.63), (0.95, 0.85))
    return tuple(
        Actor(thing, _path(*((at, Pose(side(x), y, radius)) for at, x in keys)))
        for thing, keys in zip(things, (a, b), strict=True)
    )


def approach(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first thing comes up to the second, which stays."""
    del verbs
    side, y = _sides(rng)
    keys = ((0.1, Pose(side(0.14), y, 0.13)), (0.9, Pose(side(0.56), y, 0.13)))
    still = Pose(side(0.84), y, 0.13)
    return (Actor(things[0], _path(*keys)), Actor(things[1], ((0.0, still), (1.0, still))))


def arrive(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Nothing; then the first thing; then both."""
    del verbs
    side, y = _sides(rng)
    poses = [Pose(side(x), y + _jitter(rng), 0.19) for x in (0.27, 0.73)]
    return (
        Actor(things[0], _presence(poses[0], since=0.28)),
        Actor(things[1], _presence(poses[1], since=0.64)),
    )


PULSES = ("jumps", "grows", "shrinks", "turns", "vanishes")
"""What a thing can do for a moment, after which it is as before."""

DEED_OF_PULSE = {"jumps": "moves", "shrinks": "grows", "vanishes": "appears"}
"""Pulses whose words would also fit a plot of that deed."""


def _pulse(pose: Pose, thing: Thing, verb: str, *, since: float) -> Track:
    peak = {
        "jumps": pose._replace(y=pose.y - 0.34),
        "grows": pose._replace(radius=pose.radius * 1.65),
        "shrinks": pose._replace(radius=pose.radius * 0.45),
        "turns": pose._replace(degrees=full_turn(thing)),
        "vanishes": pose._replace(shown=0.0),
    }[verb]
    return _path((since, pose), (since + 0.13, peak), (since + 0.27, peak), (since + 0.4, pose))


def in_turn(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Each thing does something for a moment, one after the other."""
    side, y = _sides(rng)
    poses = [Pose(side(x), y * 0.3 + 0.45, 0.15) for x in (0.26, 0.74)]
    return tuple(
        Actor(thing, _pulse(pose, thing, verb, since=since))
        for thing, pose, verb, since in zip(things, poses, verbs, (0.06, 0.54), strict=True)
    )
