"""Scenes as pixels: colours, shapes, textures and backgrounds can be told apart."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from scenes_material import gallery, one_of_each_plot
from tempme.scenes import clip, draw
from tempme.scenes.backgrounds import PAINTERS, backdrop
from tempme.scenes.stamps import OUTLINES, stamp
from tempme.scenes.world import BACKGROUNDS, COLOURS, SHAPES, TEXTURES


def test_every_thing_shows_its_colour() -> None:
    """The most frequent colour of a plain thing's own pixels is the one that its name says."""
    for scene in gallery("static", count=200):
        frame = draw(scene, 0.5)
        changed = (frame != backdrop(scene.background, 112)).any(axis=-1)
        counts = Counter(map(tuple, frame[changed].tolist()))
        for thing in scene.things:
            assert counts[COLOURS[thing.colour]] > 40, thing


def test_colours_are_far_apart() -> None:
    tones = [np.array(tone) for tone in COLOURS.values()]
    gaps = [np.abs(a - b).sum() for i, a in enumerate(tones) for b in tones[:i]]
    assert min(gaps) >= 100


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("shape", SHAPES)
def test_stamps_are_whole_and_not_cut_off(shape: str, texture: str) -> None:
    for degrees in range(0, 360, 45):
        shares = stamp(shape, texture, 24, degrees, 1).astype(int)
        assert (shares.sum(axis=-1) == 255).all()
        edges = np.concatenate([shares[0], shares[-1], shares[:, 0], shares[:, -1]])
        assert (edges[:, 3] == 255).all(), "the shape touches the edge of its stamp"
        soft = (shares[..., 3] > 0) & (shares[..., 3] < 255)
        assert soft.any(), "edges are averaged"


def test_textures_and_shapes_differ() -> None:
    whole = {(s, t): stamp(s, t, 14, 0, 1)[..., :3].sum() / 255 for s in SHAPES for t in TEXTURES}
    for shape in SHAPES:
        second = {t: stamp(shape, t, 14, 0, 1)[..., 2].sum() / 255 for t in TEXTURES}
        assert second["plain"] == 0
        area = whole[shape, "plain"]
        assert area * 0.08 < second["dotted"] < area * 0.6
        assert area * 0.08 < second["striped"] < area * 0.6
    assert set(OUTLINES) == set(SHAPES)


def test_backgrounds_differ() -> None:
    assert set(PAINTERS) == set(BACKGROUNDS)
    means = [backdrop(name, 112).reshape(-1, 3).mean(axis=0) for name in BACKGROUNDS]
    spreads = [backdrop(name, 112).std() for name in BACKGROUNDS]
    for i, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        for other, other_spread in zip(means[:i], spreads[:i], strict=True):
            assert np.abs(mean - other).max() > 12 or abs(spread - other_spread) > 12


@pytest.mark.parametrize("size", [32, 112, 224])
def test_frames_of_any_size(size: int) -> None:
    for scene in (*gallery("static", count=3), *one_of_each_plot()):
        frame = draw(scene, 0.3, size=size)
        assert frame.shape == (size, size, 3)
        assert frame.dtype == np.uint8


def test_drawing_leaves_the_background_clean() -> None:
    scene = gallery("static", count=1)[0]
    before = backdrop(scene.background, 112).copy()
    draw(scene, 0.0)[:] = 0
    np.testing.assert_array_equal(before, backdrop(scene.background, 112))


def test_events_are_seen_in_twelve_frames() -> None:
    """At most three frames in a row of an event look like their neighbours at rest."""
    for scene in one_of_each_plot():
        frames = clip(scene, 12).astype(int)
        changes = [np.abs(a - b).mean() for a, b in pairwise(frames)]
        assert max(changes) > 2.0, scene.plot
        assert np.abs(frames[1:-1] - frames[0]).mean(axis=(1, 2, 3)).max() > 3.0, scene.plot
