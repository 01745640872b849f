"""The lively part: what its captions claim is in the pixels, and one detail tells rivals apart."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import numpy as np
import pytest

import tempme
from scenes_material import gallery
from tempme.errors import BadSetting
from tempme.scenes import clip, draw, random_scene, scenes
from tempme.scenes.batches import Pool, SceneBatches
from tempme.scenes.filming.canvases import canvas, clouds
from tempme.scenes.filming.sensor import quantised, sensed
from tempme.scenes.filming.shots import CANVASES, Camera, Sensor, Shot
from tempme.scenes.lively.stages import CORNERS
from tempme.scenes.lively.stories import LIVELY
from tempme.scenes.scene import Scene
from tempme.scenes.tracks import pose_at
from tempme.scenes.world import BACKGROUNDS, SPLITS, TICKS, Pose


@pytest.fixture(scope="module")
def found() -> tuple[Scene, ...]:
    return gallery("lively", count=200)


@pytest.fixture(scope="module")
def one_of_each(found: tuple[Scene, ...]) -> dict[str, Scene]:
    made = {scene.plot: scene for scene in reversed(found) if not scene.is_reversed}
    assert set(made) == set(LIVELY)
    return made


def plainly(scene: Scene, at: float, size: int = 112) -> np.ndarray:
    """The frame without what a camera adds: a flat canvas of its own, so that things stand out."""
    shot = scene.shots[0]._replace(
        camera=Camera((0.5, 0.5), (0.5, 0.5), (1.0, 1.0), 0.0), drifters=(), posts=()
    )
    still = shot._replace(
        light=shot.light._replace(start=(128, 128, 128), end=(128, 128, 128)),
        sensor=Sensor(0, 0),
    )
    return draw(Scene(**{**vars(scene), "shots": (still,)}), at, size=size)


def test_the_world_is_the_one_that_models_were_trained_on() -> None:
    made = scenes(24, part="lively", split="test", seed=3)
    told = repr([(scene, scene.shots, scene.captions) for scene in made]).encode()
    pixels = b"".join(clip(scene, 5).tobytes() for scene in made)
    assert hashlib.sha256(told).hexdigest()[:16] == "d2c7268867a51cfe"
    assert hashlib.sha256(pixels).hexdigest()[:16] == "96416311befa24d7"


def test_the_shipped_model_knows_every_word() -> None:
    words = tempme.load("scenes-tiny").tokenizer
    for scene in scenes(400, part="lively", split="train", seed=1):
        for caption in scene.captions:
            assert words.unknown(caption) == []
            assert not words.is_cut(caption, max_words=32)


def test_scenes_come_in_twos_of_which_each_has_other_captions(found: tuple[Scene, ...]) -> None:
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert other in (one.twin, one.rival)
        assert (one.twin is None) != (one.rival is None)
        assert not set(one.captions) & set(other.captions)
        assert one.background == other.background
        assert one.shots == other.shots
    with pytest.raises(BadSetting, match="even for lively"):
        scenes(3, part="lively", split="test")


def test_no_caption_of_a_rival_is_true_of_a_scene(found: tuple[Scene, ...]) -> None:
    for scene in found:
        rival = scene.rival
        if rival is not None:
            assert not rival.deeds <= scene.shown
            back = rival.rival
            assert back is not None
            assert (back.id, back.captions) == (scene.id, scene.captions)


@pytest.mark.parametrize("frames", [8, 12])
def test_a_twin_has_the_same_frames_backwards(frames: int, one_of_each: dict[str, Scene]) -> None:
    """Noise, shaking and cuts included: they are of an instant, not of a place in the file."""
    for scene in one_of_each.values():
        if scene.twin is not None:
            np.testing.assert_array_equal(clip(scene, frames), clip(scene.twin, frames)[::-1])


def test_rivals_differ_where_the_two_things_are_and_nowhere_else(
    found: tuple[Scene, ...],
) -> None:
    for scene in found[:60]:
        if scene.rival is None or scene.plot != "where":
            continue
        changed = (plainly(scene, 0.0) != plainly(scene.rival, 0.0)).any(axis=-1)
        corners = {
            name
            for name, (x, y) in CORNERS.items()
            if changed[round(y * 112) - 20 : round(y * 112) + 20,
                       round(x * 112) - 20 : round(x * 112) + 20].any()
        }  # fmt: skip
        told = {corner for _, corner in scene.deeds}
        assert corners == told


def test_things_are_where_captions_say(found: tuple[Scene, ...]) -> None:
    """A colour that only one thing of a scene has is seen in the quarter that is told."""
    looked_at = 0
    for scene in found:
        if scene.plot != "where":
            continue
        for name, corner in scene.deeds:
            thing = next(one for one in scene.things if one.name == name)
            x, y = CORNERS[corner]
            track = next(a.track for a in scene.actors if a.thing == thing)
            for share in (0.0, 0.5, 1.0):
                pose = pose_at(track, share)
                assert abs(pose.x - x) < 0.1
                assert abs(pose.y - y) < 0.1
            assert f"at the {corner}" in scene.captions[0]
            looked_at += 1
    assert looked_at > 20


def test_of_two_alike_one_acts(found: tuple[Scene, ...]) -> None:
    for scene in found:
        if not scene.plot.startswith("which"):
            continue
        first, second, *_ = scene.actors
        assert first.thing.name == second.thing.name
        assert (first.thing.texture == second.thing.texture) == (scene.plot == "which-place")
        poses = [pose_at(first.track, n / 20) for n in range(21)]
        home = poses[0]
        acts = {
            "jumps": min(p.y for p in poses) < home.y - 0.1,
            "grows": max(p.radius for p in poses) > home.radius * 1.5,
            "shrinks": min(p.radius for p in poses) < home.radius * 0.6,
            "turns": max(p.degrees for p in poses) > 40,
            "vanishes": min(p.shown for p in poses) < 0.5,
        }
        assert [verb for verb, is_seen in acts.items() if is_seen] == list(scene.verbs)
        quiet = [pose_at(second.track, n / 20) for n in range(21)]
        assert max(abs(p.y - quiet[0].y) for p in quiet) < 0.04
        assert {p.shown for p in quiet} == {1.0}


def test_events_come_one_after_the_other(found: tuple[Scene, ...]) -> None:
    for scene in found:
        if scene.plot == "one-by-one":
            spans = [(a.track[1][0], a.track[-2][0]) for a in scene.actors[:3]]
            assert all(end < start for (_, end), (start, _) in pairwise(spans))
        if scene.plot == "leave-and-come":
            first, second, *_ = (actor.track for actor in scene.actors)
            assert not 0 <= pose_at(first, 0.45).x <= 1
            assert not 0 <= pose_at(second, 0.55).x <= 1
            assert 0 < pose_at(second, 1.0).x < 1


def test_four_names_where_four_are_told_apart(found: tuple[Scene, ...]) -> None:
    for scene in found:
        names = [thing.name for thing in scene.things]
        assert len(names) == 4
        assert len(set(names)) == (3 if scene.plot.startswith("which") else 4)
        for thing, verb in zip(scene.things, scene.verbs, strict=False):
            assert verb != "turns" or thing.shape not in ("circle", "ring")


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

    cuts = [change(scene, shot.since) for scene in found for shot in scene.shots[1:]][:30]
    calm = [change(scene, 0.1) for scene in found][:30]
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
    from tempme.scenes.filming.camera import seen

    shot = scenes(2, part="lively", split="test")[0].shots[0]
    near: Shot = shot._replace(camera=Camera((0, 0), (0, 0), (1.0, 1.1), 0.0))
    pose = seen(Pose(0.75, 0.25, 0.1), near, 1.0, TICKS)
    assert (pose.x, pose.y, pose.radius) == pytest.approx((0.775, 0.225, 0.11))


def test_batches_hold_rivals_and_twins_side_by_side() -> None:
    batches = SceneBatches(batch=24, frames=2, size=32, lively=1.0, seed=1)
    pool = Pool.of(24, static=0.5, lookalikes=1, lively=0.5, seed=0)
    assert {scene.part for scene in pool.scenes} == {"static", "temporal", "lively"}
    for group in pool.groups:
        if group[0].part == "lively":
            assert len(group) == (1 if group[0].twin else 2)
            assert group[-1] in (group[0], group[0].rival)
    frames, captions, others = batches[0]
    assert frames.shape == (24, 2, 32, 32, 3)
    assert all(one != other for one, other in zip(captions, others, strict=True))
    with pytest.raises(BadSetting, match=r"lively is 2; it is a share"):
        SceneBatches(batch=2, frames=1, size=32, lively=2)


def test_random_scenes_of_training_are_of_their_split() -> None:
    lot = random.Random(3)
    for _ in range(50):
        scene = random_scene(lot, "lively", "train")
        assert (scene.part, scene.split) == ("lively", "train")
        assert scene.shots
