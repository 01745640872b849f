"""What lies in each patch of a lively frame: known, since the scene was made, not found."""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.scenes.filming.camera import seen
from tempme.scenes.filming.shots import Shot, between, shot_at
from tempme.scenes.lively.stages import COLUMNS, ROWS, place_of
from tempme.scenes.scene import Scene
from tempme.scenes.tracks import pose_at
from tempme.scenes.world import COLOURS, SHAPES, TEXTURES, TICKS, Pose, Thing

NOTHING = -1
"""The label of a patch in which no thing lies."""
PLACES = tuple(f"{row} {column}".strip() or "middle" for row in ROWS for column in COLUMNS)
"""Three by three, as `place_of` calls them."""
CORE = 0.6
"""The share of its radius within which a patch must meet a thing: at the rim little is seen."""


class Label(NamedTuple):
    """Positions in `COLOURS`, `SHAPES`, `TEXTURES` and `PLACES` of the thing in a patch."""

    colour: int
    shape: int
    texture: int
    place: int


def patch_labels(scene: Scene, at: float, grid: int) -> NDArray[np.int64]:
    """Labels of `grid` x `grid` patches of the frame that `draw(scene, at)` gives.

    (grid, grid, 4), rows from the top: the fields of `Label`, or `NOTHING` in all of them. Of
    several things in a patch the one nearest to its middle counts; a post that covers the middle
    of a patch hides what lies behind. Raises `BadSetting` for a scene that was not filmed.
    """
    if not scene.shots:
        raise BadSetting(f"the scene {scene.id} is {scene.part}; only lively ones have labels")
    if grid < 1:
        raise BadSetting(f"grid is {grid}; it is 1 or more")
    tick = scene.tick(at)
    share = tick / TICKS
    shot = shot_at(scene.shots, share)
    labels = np.full((grid, grid, len(Label._fields)), NOTHING, np.int64)
    nearest = np.full((grid, grid), np.inf)
    for actor in scene.actors:
        pose = pose_at(actor.track, share)
        if pose.shown >= 0.5:
            label = label_of(actor.thing, place_of(((0.0, pose),)))
            _lay(labels, nearest, label, seen(pose, shot, share, tick))
    labels[:, _hidden(shot, share, grid)] = NOTHING
    return labels


def label_of(thing: Thing, place: str) -> Label:
    """The label of a thing at one of `PLACES`."""
    return Label(
        tuple(COLOURS).index(thing.colour),
        SHAPES.index(thing.shape),
        TEXTURES.index(thing.texture),
        PLACES.index(place),
    )


def _lay(labels: NDArray[np.int64], nearest: NDArray[np.float64], label: Label, pose: Pose) -> None:
    """Write a label where its thing is nearer than those before it."""
    grid = len(labels)
    half = 0.5 / grid
    for row in range(grid):
        for column in range(grid):
            dx, dy = abs((column + 0.5) / grid - pose.x), abs((row + 0.5) / grid - pose.y)
            is_met = hypot(max(0.0, dx - half), max(0.0, dy - half)) < CORE * pose.radius
            if is_met and hypot(dx, dy) < nearest[row, column]:
                nearest[row, column] = hypot(dx, dy)
                labels[row, column] = label


def _hidden(shot: Shot, share: float, grid: int) -> NDArray[np.bool_]:
    """The columns of patches whose middle lies behind a post."""
    middles = (np.arange(grid) + 0.5) / grid
    hidden = np.zeros(grid, np.bool_)
    for post in shot.posts:
        left = between(post.start, post.end, share)
        hidden |= (middles >= left) & (middles < left + post.width)
    return hidden
