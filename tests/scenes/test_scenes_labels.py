"""What lies in each patch: by scenes staged by hand, and against the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenes_material import gallery
from tempme.errors import BadSetting
from tempme.scenes import draw
from tempme.scenes.filming.shots import Camera, Post, Sensor, Shot
from tempme.scenes.lively.labels import NOTHING, PLACES, Label, patch_labels
from tempme.scenes.scene import Scene
from tempme.scenes.world import COLOURS, SHAPES, TEXTURES, Actor, Pose, Thing

STAR, RING = Thing("red", "star", "striped"), Thing("blue", "ring", "plain")
GRID = 7


def staged(*poses: tuple[Thing, Pose], posts: tuple[Post, ...] = (), zoom: float = 1.0) -> Scene:
    """Things that stay where they are, before a camera that does, too."""
    scene = gallery("lively", count=200)[0]
    still = Camera((0.5, 0.5), (0.5, 0.5), (zoom, zoom), 0.0)
    shot: Shot = scene.shots[0]._replace(
        since=0.0, camera=still, drifters=(), posts=posts, sensor=Sensor(0, 0)
    )
    actors = tuple(Actor(thing, ((0.0, pose), (1.0, pose))) for thing, pose in poses)
    return replace(scene, actors=actors, shots=(shot,), is_reversed=False)


def label(thing: Thing, place: str) -> Label:
    colour = tuple(COLOURS).index(thing.colour)
    shape, texture = SHAPES.index(thing.shape), TEXTURES.index(thing.texture)
    return Label(colour, shape, texture, PLACES.index(place))


def test_a_small_thing_is_in_its_patch_and_nowhere_else() -> None:
    found = patch_labels(staged((STAR, Pose(1.5 / 7, 5.5 / 7, 0.05))), 0.3, GRID)
    assert tuple(found[5, 1]) == label(STAR, "bottom left")
    found[5, 1] = NOTHING
    assert (found == NOTHING).all()


def test_of_two_the_nearer_to_the_middle_of_a_patch_counts() -> None:
    near, far = Pose(3.5 / 7, 3.5 / 7, 0.1), Pose(4.5 / 7, 3.5 / 7, 0.1)
    for things in (((STAR, near), (RING, far)), ((RING, far), (STAR, near))):
        found = patch_labels(staged(*things), 0.0, GRID)
        assert tuple(found[3, 3]) == label(STAR, "middle")
        assert tuple(found[3, 4]) == label(RING, "middle")


def test_what_is_not_shown_or_outside_has_no_label() -> None:
    hidden = (STAR, Pose(0.5, 0.5, 0.1, shown=0.0))
    assert (patch_labels(staged(hidden, (RING, Pose(1.3, 0.5, 0.1))), 0.0, GRID) == NOTHING).all()


def test_a_post_hides_the_columns_that_it_covers() -> None:
    scene = staged((STAR, Pose(0.5, 0.5, 0.2)), posts=(Post(0.45, 0.45, 0.1),))
    found = patch_labels(scene, 0.0, GRID)[..., 0]
    assert (found[:, 3] == NOTHING).all()
    assert found[3, 2] == found[3, 4] == label(STAR, "middle").colour


def test_the_camera_moves_labels_with_what_it_shows() -> None:
    pose = Pose(0.21, 0.5, 0.03)
    assert patch_labels(staged((STAR, pose)), 0.0, GRID)[3, 1, 0] != NOTHING
    assert patch_labels(staged((STAR, pose), zoom=1.5), 0.0, GRID)[3, 0, 0] != NOTHING


def test_frames_change_where_there_is_a_label_and_not_elsewhere() -> None:
    changed: dict[bool, list[float]] = {True: [], False: []}
    for scene in gallery("lively", count=200)[:12]:
        quiet = replace(scene, shots=tuple(s._replace(sensor=Sensor(0, 0)) for s in scene.shots))
        with_all, without = (
            draw(one, 0.4).astype(int) for one in (quiet, replace(quiet, actors=()))
        )
        patches = np.abs(with_all - without).reshape(GRID, 16, GRID, 16, 3).mean(axis=(1, 3, 4))
        is_there = patch_labels(scene, 0.4, GRID)[..., 0] != NOTHING
        for side in changed:
            changed[side] += patches[is_there == side].tolist()
    assert len(changed[True]) > 100
    assert np.median(changed[True]) > 10
    assert np.quantile(changed[True], 0.02) > 0, "every label but a few is of something seen"
    assert np.median(changed[False]) == 0


def test_a_reversed_scene_has_the_labels_of_its_twin() -> None:
    scene = next(one for one in gallery("lively", count=200) if one.twin and not one.is_reversed)
    assert scene.twin
    a, b = patch_labels(scene, 0.25, GRID), patch_labels(scene.twin, 0.75, GRID)
    assert np.array_equal(a, b)


def test_what_has_no_labels_is_refused() -> None:
    with pytest.raises(BadSetting, match="only lively ones"):
        patch_labels(gallery("static", count=20)[0], 0.0, GRID)
    with pytest.raises(BadSetting, match="grid is 0"):
        patch_labels(staged(), 0.0, 0)
