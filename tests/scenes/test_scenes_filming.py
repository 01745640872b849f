"""What a camera adds to lively scenes: canvases, cuts, zoom, noise, quantised blocks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from scenes_material import gallery
from tempme.scenes import draw, scenes
from tempme.scenes.filming.camera import seen
from tempme.scenes.filming.canvases import canvas, clouds
from tempme.scenes.filming.sensor import quantised, sensed
from tempme.scenes.filming.shots import CANVASES, Camera, Sensor, Shot
from tempme.scenes.scene import Scene
from tempme.scenes.world import BACKGROUNDS, SPLITS, TICKS, Pose


@pytest.fixture(scope="module")
def found() -> tuple[Scene, ...]:
    return gallery("lively", count=200)


def test_splits_film_canvases_of_their_own() -> None:
    seen = {
        split: {shot.canvas for one in gallery("lively", split, 60) for shot in one.shots}
        for split in SPLITS
    }
    for split, (first, after) in CANVASES.items():
        assert seen[split] <= set(range(first, after))
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & (seen["test"] | seen["train"])


def test_what_a_camera_adds_is_there(found: tuple[Scene, ...]) -> None:
    shots = [scene.shots for scene in found]
    assert {len(some) for some in shots} == {1, 2, 3}
    every = [shot for some in shots for shot in some]
    assert {bool(shot.posts) for shot in every} == {True, False}
    assert {bool(shot.sensor.step) for shot in every} == {True, False}
    assert {bool(shot.camera.shake) for shot in every} == {True, False}
    assert any(shot.camera.start != shot.camera.end for shot in every)
    assert any(shot.camera.zoom[0] != shot.camera.zoom[1] for shot in every)
    assert any(shot.light.start != shot.light.end for shot in every)
    still = next(scene for scene in found if len(scene.shots) == 1)
    assert not np.array_equal(draw(still, 0.5), draw(still, 0.501)), "noise is of every instant"


def test_a_cut_changes_most_of_the_picture(found: tuple[Scene, ...]) -> None:
    def change(scene: Scene, share: float) -> float:
        a, b = (draw(scene, at).astype(int) for at in (share - 2e-4, share + 2e-4))
        return float(np.abs(a - b).mean())

    steady = [one for one in found if not any(shot.camera.shake for shot in one.shots)]
    cuts = [change(scene, shot.since) for scene in steady for shot in scene.shots[1:]]
    calm = [change(scene, 0.1) for scene in steady]
    assert len(cuts) > 10
    assert np.median(cuts) > 1.5 * np.median(calm)


@pytest.mark.parametrize("place", BACKGROUNDS)
def test_canvases_are_textured(place: str) -> None:
    one, other = (canvas(place, number, 112)[..., :3].astype(int) for number in (0, 13))
    assert one.shape == (224, 224, 3)
    assert np.abs(one - other).mean() > 5, "each is another"
    parts = one.reshape(14, 16, 14, 16, 3).std(axis=(1, 3)).mean(axis=-1)
    assert (parts > 2).mean() > 0.5, "patches of a canvas are not plain"


def test_clouds_use_the_range() -> None:
    tones = clouds(random.Random(0), 224, 3, 9, 30)
    assert 0 <= tones.min() < 60
    assert 190 < tones.max() <= 255


def test_fine_steps_keep_a_picture_and_coarse_ones_do_not() -> None:
    lot = np.random.default_rng(0)
    picture = lot.integers(0, 256, (16, 24, 3)).astype(np.int16)
    coarse = quantised(picture, 24)
    assert (coarse.min(), coarse.max()) >= (0, 0)
    assert np.abs(coarse - picture).mean() > 4
    flat = np.full((16, 16, 3), 96, np.int16)
    assert np.abs(quantised(flat, 24) - flat).max() <= 1, "an even tone stays"


def test_sizes_that_blocks_do_not_fill() -> None:
    scene = scenes(2, part="lively", split="test")[0]
    coarse = tuple(shot._replace(sensor=Sensor(8, 24)) for shot in scene.shots)
    for size in (50, 100):
        assert draw(Scene(**{**vars(scene), "shots": coarse}), 0.3, size=size).shape == (
            size,
            size,
            3,
        )


def test_noise_is_about_as_strong_as_asked_for() -> None:
    flat = np.full((112, 112, 3), 128, np.int16)
    for strength in (4, 8, 12):
        noisy = sensed(flat, Sensor(strength, 0), seed=1, tick=2).astype(int)
        assert abs(noisy.mean() - 128) < 1
        assert strength * 0.7 < noisy.std() < strength * 1.3


def test_things_follow_zoom() -> None:
    shot = scenes(2, part="lively", split="test")[0].shots[0]
    near: Shot = shot._replace(camera=Camera((0, 0), (0, 0), (1.0, 1.1), 0.0))
    pose = seen(Pose(0.75, 0.25, 0.1), near, 1.0, TICKS)
    assert (pose.x, pose.y, pose.radius) == pytest.approx((0.775, 0.225, 0.11))
