"""Scenes for the tests of the drawn world."""

from __future__ import annotations

from tempme.datasets.scenes import scenes
from tempme.datasets.scenes.plots import PLOTS
from tempme.datasets.scenes.scene import Scene
from tempme.datasets.scenes.world import Part, Split


def gallery(part: Part, split: Split = "test", count: int = 500) -> tuple[Scene, ...]:
    return scenes(count, part=part, split=split)


def one_of_each_plot() -> list[Scene]:
    found = {scene.plot: scene for scene in gallery("temporal")}
    assert set(found) == set(PLOTS["temporal"])
    return list(found.values())
