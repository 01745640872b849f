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
from tempme.scenes.filming.shots import Camera, Sensor
from tempme.scenes.lively.stages import CORNERS, place_of, relation
from tempme.scenes.lively.stories import LIVELY
from tempme.scenes.scene import Scene
from tempme.scenes.tracks import pose_at


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
    assert hashlib.sha256(told).hexdigest()[:16] == "0dc8949ef008631d"
    assert hashlib.sha256(pixels).hexdigest()[:16] == "49d943953cf12dab"


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
            if changed[round(y * 112) - 18 : round(y * 112) + 18,
                       round(x * 112) - 18 : round(x * 112) + 18].any()
        }  # fmt: skip
        told = {place_of(actor.track) for actor in scene.actors[:2]}
        assert corners == told


def test_things_are_where_captions_say(found: tuple[Scene, ...]) -> None:
    looked_at = 0
    for scene in found:
        if scene.plot != "where":
            continue
        for thing, actor in zip(scene.things[:2], scene.actors, strict=False):
            assert actor.thing == thing
            corner = place_of(actor.track)
            x, y = CORNERS[corner]
            for share in (0.0, 0.5, 1.0):
                pose = pose_at(actor.track, share)
                assert abs(pose.x - x) < 0.08
                assert abs(pose.y - y) < 0.08
            assert f"{thing.name} at the {corner}" in scene.captions[0]
            looked_at += 1
        first, second = (actor.track[0][1] for actor in scene.actors[:2])
        lies = {
            "left of": first.x < second.x - 0.3,
            "right of": first.x > second.x + 0.3,
            "above": first.y < second.y - 0.3,
            "below": first.y > second.y + 0.3,
        }
        assert any(lies[words] and f" {words} " in scene.captions[2] for words in lies)
    assert looked_at > 20


def test_no_caption_of_places_is_true_of_another_scene(found: tuple[Scene, ...]) -> None:
    """Looked up in the actors, not in what scenes say of themselves."""
    for scene in found:
        if scene.plot != "where":
            continue
        one, other = scene.actors[:2]
        told = relation(one.track, other.track)
        for another in found:
            if another is scene or another.background != scene.background:
                continue
            ones, others = (
                [actor.track for actor in another.actors if actor.thing.name == name]
                for name in (one.thing.name, other.thing.name)
            )
            assert told not in {relation(a, b) for a in ones for b in others}


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


def test_things_have_names_of_their_own_but_for_two_alike(found: tuple[Scene, ...]) -> None:
    for scene in found:
        names = [thing.name for thing in scene.things]
        assert 7 <= len(names) <= 9
        assert len(set(names)) == len(names) - scene.plot.startswith("which")
        assert [actor.thing for actor in scene.actors] == list(scene.things)
        for thing, verb in zip(scene.things, scene.verbs, strict=False):
            assert verb != "turns" or thing.shape not in ("circle", "ring")
        begins = [actor.track[0][1] for actor in scene.actors if 0 <= actor.track[0][1].x <= 1]
        for number, pose in enumerate(begins):
            for other in begins[:number]:
                gap = max(abs(pose.x - other.x), abs(pose.y - other.y))
                assert gap > pose.radius + other.radius, "things lie apart"


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
