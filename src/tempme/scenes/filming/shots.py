"""The values of a film: shots with a camera, a light, a sensor, and what passes by."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from tempme.scenes.world import Split

CANVASES: dict[Split, tuple[int, int]] = {"train": (0, 10), "val": (10, 13), "test": (13, 16)}
"""Which canvases of a place a split films: those of test are never seen in training."""
DRIFTERS = ("leaf", "flake", "bar")


class Camera(NamedTuple):
    """Where the view begins on the canvas (shares of the room that it has) at both ends of the
    scene, how close it is to what is filmed, and how far it shakes (share of the picture).
    """

    start: tuple[float, float]
    end: tuple[float, float]
    zoom: tuple[float, float]
    shake: float


class Lighting(NamedTuple):
    """Gains in 1/128 for red, green and blue, at both ends of the scene."""

    start: tuple[int, int, int]
    end: tuple[int, int, int]


class Sensor(NamedTuple):
    """Strength of the noise in levels; step of the quantised 8 x 8 blocks, 0 for none."""

    noise: int
    step: int


class Drifter(NamedTuple):
    """A small thing that no caption speaks of, on its way through the picture."""

    kind: Literal["leaf", "flake", "bar"]
    colour: tuple[int, int, int]
    start: tuple[float, float]
    speed: tuple[float, float]
    radius: float
    degrees: int


class Post(NamedTuple):
    """Something near the camera that passes in front of all: a band from top to bottom."""

    start: float
    end: float
    width: float


class Shot(NamedTuple):
    """From a share of the duration up to the next shot."""

    since: float
    canvas: int
    flip: bool
    camera: Camera
    light: Lighting
    sensor: Sensor
    drifters: tuple[Drifter, ...]
    posts: tuple[Post, ...]
    seed: int


def random_shots(rng: random.Random, split: Split) -> tuple[Shot, ...]:
    """One to three shots; light, sensor and drifters stay over a cut, canvas and camera do not."""
    cuts = sorted(rng.uniform(0.2, 0.8) for _ in range(rng.choice((0, 0, 1, 1, 2))))
    first, after = CANVASES[split]
    sensor = Sensor(rng.choice((4, 8, 12)), rng.choice((0, 0, 12, 24)))
    light = Lighting(_gains(rng), _gains(rng))
    drifters = tuple(_drifter(rng) for _ in range(rng.randint(2, 5)))
    return tuple(
        Shot(
            since,
            rng.randrange(first, after),
            rng.random() < 0.5,
            _camera(rng),
            light,
            sensor,
            drifters,
            (_post(rng),) if rng.random() < 0.5 else (),
            rng.getrandbits(31),
        )
        for since in (0.0, *cuts)
    )


def shot_at(shots: tuple[Shot, ...], share: float) -> Shot:
    """The shot that a share of the duration shows."""
    return next(shot for shot in reversed(shots) if shot.since <= share)


def between(start: float, end: float, share: float) -> float:
    """Evenly from one to the other."""
    return start + (end - start) * share


def hashed(seed: int, tick: int) -> int:
    """32 bits that are the same for a seed and an instant, and look random."""
    mixed = (seed * 0x9E3779B1 + tick * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed ^ mixed >> 16) * 0x7FEB352D) & 0xFFFFFFFF
    mixed = ((mixed ^ mixed >> 15) * 0x846CA68B) & 0xFFFFFFFF
    return mixed ^ mixed >> 16


def _camera(rng: random.Random) -> Camera:
    start = (rng.random(), rng.random())
    reach = rng.choice((0.0, 0.3, 0.6))
    end = tuple(min(1.0, max(0.0, at + rng.uniform(-reach, reach))) for at in start)
    zoom = rng.uniform(0.92, 1.1)
    other = zoom if rng.random() < 0.5 else rng.uniform(0.92, 1.1)
    return Camera(start, (end[0], end[1]), (zoom, other), rng.choice((0.0, 0.01, 0.02)))


def _gains(rng: random.Random) -> tuple[int, int, int]:
    whole, warm = rng.uniform(0.72, 1.18), rng.uniform(-0.08, 0.08)
    red, blue = round(128 * whole * (1 + warm)), round(128 * whole * (1 - warm))
    return (red, round(128 * whole), blue)


def _drifter(rng: random.Random) -> Drifter:
    return Drifter(
        rng.choice(DRIFTERS),  # type: ignore[arg-type]
        (rng.randrange(30, 230), rng.randrange(30, 230), rng.randrange(30, 230)),
        (rng.random(), rng.random()),
        (rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7)),
        rng.choice((0.02, 0.03, 0.045)),
        rng.randrange(0, 180, 30),
    )


def _post(rng: random.Random) -> Post:
    ends = [-0.2, 1.2]
    rng.shuffle(ends)
    return Post(ends[0], ends[1], rng.uniform(0.06, 0.12))
