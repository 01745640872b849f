"""The drawn world: the same everywhere, twins backwards, captions of one video, held-out parts."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from scenes_material import gallery, one_of_each_plot
from tempme.errors import BadSetting, UnknownName
from tempme.scenes import clip, random_scene, scenes
from tempme.scenes.batches import Pool, SceneBatches
from tempme.scenes.scene import Scene
from tempme.scenes.stages import PULSES
from tempme.scenes.world import (
    BACKGROUNDS,
    COLOURS,
    PARTS,
    PLAIN_PARTS,
    SHAPES,
    SPLITS,
    Part,
    Split,
    home,
)


def combinations(found: tuple[Scene, ...]) -> set[tuple[str, str, str]]:
    return {
        (thing.colour, thing.shape, scene.background) for scene in found for thing in scene.things
    }


def test_the_same_seed_is_the_same_world_in_another_process() -> None:
    program = (
        "import hashlib\nfrom tempme.scenes import clip, scenes\n"
        f"for part in {PARTS!r}:\n"
        "    made = scenes(6, part=part, split='train', seed=7)\n"
        "    print(hashlib.sha256(repr(made).encode() + repr([s.captions for s in made]).encode()\n"
        "        + b''.join(clip(s, 3).tobytes() for s in made)).hexdigest())"
    )
    here = []
    for part in PARTS:
        made = scenes(6, part=part, split="train", seed=7)
        drawn = b"".join(clip(scene, 3).tobytes() for scene in made)
        told = repr(made).encode() + repr([scene.captions for scene in made]).encode()
        here.append(hashlib.sha256(told + drawn).hexdigest())
        assert made != scenes(6, part=part, split="train", seed=8)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == here


def test_the_world_is_the_one_that_models_were_trained_on() -> None:
    """Changes with any change of words, lots or layout; then the shipped model needs training."""
    told = repr([scenes(40, part=part, split="test", seed=3) for part in PLAIN_PARTS])
    words = repr(
        [s.captions for part in PLAIN_PARTS for s in scenes(40, part=part, split="test", seed=3)]
    )
    digest = hashlib.sha256((told + words).encode()).hexdigest()
    assert digest[:16] == "22985065c4b891ae"


@pytest.mark.parametrize(
    ("part", "size", "digest"),
    [
        ("static", 112, "aa5ba9a73c7ead15"),
        ("static", 96, "48d2e9af43a97347"),
        ("temporal", 112, "3d657a75b60ffc1d"),
        ("temporal", 96, "d1434ece124afe5f"),
    ],
)
def test_the_pixels_are_those_that_models_were_trained_on(
    part: Part, size: int, digest: str
) -> None:
    made = scenes(24, part=part, split="test", seed=3)
    pixels = b"".join(clip(scene, 5, size=size).tobytes() for scene in made)
    assert hashlib.sha256(pixels).hexdigest()[:16] == digest


def test_batches_are_those_that_models_were_trained_on() -> None:
    batches = SceneBatches(batch=8, frames=1, size=64, lookalikes=1, seed=3)
    frames, *captions = batches[4]
    told = frames.tobytes() + repr(tuple(captions)).encode()
    assert hashlib.sha256(told).hexdigest()[:16] == "9dec338b54a53bac"
    pool = Pool.of(30, static=0.4, lookalikes=1, seed=2)
    assert hashlib.sha256(repr(pool).encode()).hexdigest()[:16] == "a825a0b9f60d1d7a"


@pytest.mark.parametrize("frames", [8, 12, 64])
def test_a_twin_has_exactly_the_same_frames_backwards(frames: int) -> None:
    for scene in one_of_each_plot() if frames < 64 else one_of_each_plot()[:4]:
        twin = scene.twin
        assert twin is not None
        assert twin.twin == scene
        forwards, backwards = clip(scene, frames), clip(twin, frames)
        np.testing.assert_array_equal(forwards, backwards[::-1])
        assert not np.array_equal(forwards, backwards), f"{scene.plot} looks alike both ways"


def test_twins_share_no_caption_and_are_neighbours() -> None:
    made = gallery("temporal")
    for scene, twin in zip(made[::2], made[1::2], strict=True):
        assert scene.twin == twin
        assert not set(scene.captions) & set(twin.captions)


def test_static_scenes_have_no_twin_and_hardly_move() -> None:
    for scene in gallery("static", count=50):
        assert scene.twin is None
        for actor in scene.actors:
            (_, start), (_, end) = actor.track
            assert max(abs(start.x - end.x), abs(start.y - end.y)) <= 0.03


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("part", PARTS)
def test_no_caption_belongs_to_two_videos(part: Part, split: Split) -> None:
    made = gallery(part, split)
    count = Counter(caption for scene in made for caption in scene.captions)
    assert max(count.values()) == 1
    assert len({scene.id for scene in made}) == len(made) == 500


@pytest.mark.parametrize("part", PARTS)
def test_no_caption_fits_another_video(part: Part) -> None:
    made = [scene for scene in gallery(part) if not scene.is_reversed]
    for number, scene in enumerate(made):
        for other in made[:number]:
            if scene.background == other.background:
                assert not scene.deeds <= other.shown
                assert not other.deeds <= scene.shown


def test_left_and_above_are_where_the_pixels_are() -> None:
    for scene in gallery("static", count=200):
        first, second = (actor.track[0][1] for actor in scene.actors)
        across, down = second.x - first.x, second.y - first.y
        if scene.plot == "beside":
            assert across > 0.3 > abs(down)
        else:
            assert down > 0.3 > abs(across)


def test_plots_that_turn_have_things_whose_turn_shows() -> None:
    for scene in gallery("temporal"):
        for thing, deed in zip(scene.things * 2, scene.verbs, strict=False):
            assert deed != "turns" or thing.shape not in ("circle", "ring")
        if scene.plot == "grow-and-turn":
            assert scene.things[0].shape not in ("circle", "ring")


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_held_out_combinations_are_held_out(part: Part) -> None:
    seen = {split: combinations(gallery(part, split, 2000)) for split in SPLITS}
    lot = random.Random(0)
    seen["train"] |= combinations(tuple(random_scene(lot, part, "train") for _ in range(3000)))
    everything = [(c, s, b) for c in COLOURS for s in SHAPES for b in BACKGROUNDS]
    held_out = {"test": 0, "val": 0}
    for colour, shape, background in everything:
        thing = gallery("static", count=1)[0].things[0]._replace(colour=colour, shape=shape)
        owner = home(thing, background)
        if owner == "train":
            continue
        held_out[owner] += 1
        for split in SPLITS:
            if split != owner:
                assert (colour, shape, background) not in seen[split]
    assert held_out == {"test": 64, "val": 64}
    for place, words in enumerate((COLOURS, SHAPES, BACKGROUNDS)):
        assert {combination[place] for combination in seen["train"]} == set(words)
    assert len({c[:2] for c in seen["train"]}) == len(COLOURS) * len(SHAPES)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("part", PARTS)
def test_every_held_out_scene_shows_what_train_never_does(part: Part, split: Split) -> None:
    for scene in gallery(part, split):
        assert split in {home(thing, scene.background) for thing in scene.things}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_captions_are_short_and_plain(part: Part) -> None:
    for scene in gallery(part, "train", 2000):
        assert len(set(scene.captions)) == len(scene.captions) >= 4
        for caption in scene.captions:
            assert len(caption.split()) <= 24
            assert caption.isascii()
            assert not set("{}_A") & set(caption)
            assert " a orange" not in f" {caption}"
            for thing in scene.things[:2]:  # of the others of lively scenes some are not told
                assert thing.colour in caption


def test_all_captions_fit_into_32_tokens() -> None:
    from tempme.backbones.tokenizer import Tokenizer

    tokenizer = Tokenizer()
    for part in PARTS:
        captions = [c for scene in gallery(part, "train", 300) for c in scene.captions]
        ids, _ = tokenizer(captions, max_words=32)
        longest, _ = tokenizer(captions, max_words=77)
        assert (longest[:, 32:] == 0).all()
        assert ids.shape[1] == 32


def test_every_verb_is_seen() -> None:
    assert {verb for scene in gallery("temporal") for verb in scene.verbs} == set(PULSES)


def test_more_scenes_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempme.scenes.scene.PATIENCE", 3)
    with pytest.raises(BadSetting, match="count is 100000; static scenes of test"):
        scenes(100_000, part="static", split="test")


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(BadSetting, match="even for temporal"):
        scenes(3, part="temporal", split="test")
    with pytest.raises(UnknownName, match="did you mean 'static'"):
        scenes(2, part="statics", split="test")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="train, val, test"):
        random_scene(random.Random(0), "static", "all")  # type: ignore[arg-type]
    assert scenes(0, part="static", split="test") == ()
