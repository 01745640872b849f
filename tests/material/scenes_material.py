"""Scenes for the tests of the drawn world."""

from __future__ import annotations

from tempme.scenes import scenes
from tempme.scenes.scene import Scene
from tempme.scenes.stories import PLOTS
from tempme.scenes.world import Part, Split


def gallery(part: Part, split: Split = "test", count: int = 500) -> tuple[Scene, ...]:
    return scenes(count, part=part, split=split)


def one_of_each_plot() -> list[Scene]:
    found = {scene.plot: scene for scene in gallery("temporal")}
    assert set(found) == set(PLOTS["temporal"])
    return list(found.values())
