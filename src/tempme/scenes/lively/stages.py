"""How lively plots are staged: each thing in a place of its own of three by three."""

from __future__ import annotations

import random

from tempme.scenes.stages import Things, Verbs, full_turn
from tempme.scenes.world import Actor, Pose, Thing, Track

COLUMNS = {"left": 0.19, "": 0.5, "right": 0.81}
ROWS = {"top": 0.19, "": 0.5, "bottom": 0.81}
CORNERS = {
    f"{row} {column}": (COLUMNS[column], ROWS[row])
    for row in ("top", "bottom")
    for column in ("left", "right")
}
"""Where those are of which captions tell, and one more."""
BETWEEN = tuple((x, y) for y in ROWS.values() for x in COLUMNS.values() if 0.5 in (x, y))
"""The places of all others."""
RADII = (0.08, 0.09, 0.1)
WANDER = 0.025
"""How far a thing strays from the middle of its place."""


def place_of(track: Track) -> str:
    """The place in which a track begins or that is nearest to it, as captions call it."""
    first = track[0][1]
    row, column = (_nearest(at, names) for at, names in ((first.y, ROWS), (first.x, COLUMNS)))
    return " ".join(name for name in (row, column) if name) or "middle"


def _nearest(at: float, names: dict[str, float]) -> str:
    return min(names, key=lambda name: abs(names[name] - at))


def relation(one: Track, other: Track) -> str:
    """How a thing lies to another where both begin: by columns, if these differ."""
    for axis, (less, more) in (("x", ("left of", "right of")), ("y", ("above", "below"))):
        gap = getattr(one[0][1], axis) - getattr(other[0][1], axis)
        if abs(gap) > 2 * WANDER:
            return less if gap < 0 else more
    return "at"


def stand(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """All stay, each in a place of its own."""
    del verbs
    return _staying(rng, things, _poses(rng, len(things)))


def one_acts(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first does something for a moment; the others, its double among them, stay."""
    since = rng.uniform(0.1, 0.5)
    first, *others = _poses(rng, len(things))
    actor = Actor(things[0], pulse(first, things[0], verbs[0], since=since, lasts=0.4))
    return (actor, *_staying(rng, things[1:], others))


def one_by_one(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """Three things do something for a moment, one after the other; the others stay."""
    poses = _poses(rng, len(things))
    actors = [
        Actor(thing, pulse(pose, thing, verb, since=since, lasts=0.28))
        for thing, pose, verb, since in zip(things, poses, verbs, (0.03, 0.36, 0.69), strict=False)
    ]
    return (*actors, *_staying(rng, things[3:], poses[3:]))


def leave_and_come(rng: random.Random, things: Things, verbs: Verbs) -> tuple[Actor, ...]:
    """The first goes out of the picture; after that the second comes into it."""
    del verbs
    one, other, *rest = _poses(rng, len(things))
    goes = ((0.0, one), (0.1, one), (0.4, _outside(one)), (1.0, _outside(one)))
    comes = ((0.0, _outside(other)), (0.6, _outside(other)), (0.9, other), (1.0, other))
    return (Actor(things[0], goes), Actor(things[1], comes), *_staying(rng, things[2:], rest))


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


def _poses(rng: random.Random, count: int) -> list[Pose]:
    """The corners in any order, and then places between them in any order."""
    corners, others = list(CORNERS.values()), list(BETWEEN)
    rng.shuffle(corners)
    rng.shuffle(others)
    radius = rng.choice(RADII)
    places = (corners + others)[:count]
    return [Pose(x + _stray(rng), y + _stray(rng), radius) for x, y in places]


def _staying(rng: random.Random, things: Things, poses: list[Pose]) -> tuple[Actor, ...]:
    return tuple(
        Actor(thing, _wander(rng, pose)) for thing, pose in zip(things, poses, strict=True)
    )


def _stray(rng: random.Random) -> float:
    return rng.uniform(-WANDER, WANDER)


def _wander(rng: random.Random, pose: Pose) -> Track:
    there = pose._replace(x=pose.x + _stray(rng), y=pose.y + _stray(rng))
    return ((0.0, pose), (rng.uniform(0.3, 0.7), there), (1.0, pose))


def _outside(pose: Pose) -> Pose:
    return pose._replace(x=-0.3 if pose.x < 0.5 else 1.3)
