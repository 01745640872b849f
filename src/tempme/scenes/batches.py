"""Endless training batches of generated scenes, each a function of its number alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from tempme.errors import BadSetting
from tempme.scenes import Part, Scene, clip, draw, lookalike, random_scene


@dataclass(frozen=True)
class Pool:
    """Scenes that a run shows again and again; `groups` hold hard negatives side by side.

    A group is a static scene with its lookalikes, a lively one with its rival, or one alone whose
    twin needs no frames of its own: it shows the same ones backwards.
    """

    groups: tuple[tuple[Scene, ...], ...]

    @classmethod
    def of(
        cls, count: int, *, static: float, lookalikes: int, seed: int, lively: float = 0.0
    ) -> Pool:
        """About `count` scenes of the training split."""
        _check(static, lookalikes, lively)
        if count < 1:
            raise BadSetting(f"pool is {count}; it is a number of scenes: 1 or more")
        rng = random.Random(f"pool/{seed}")
        groups: list[tuple[Scene, ...]] = []
        while sum(map(len, groups)) < count:
            groups.append(_group(rng, static, lookalikes, lively))
        return cls(tuple(groups))

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """All scenes, group by group."""
        return tuple(scene for group in self.groups for scene in group)

    def batch(self, step: int, size: int, seed: int) -> list[tuple[int, bool, Scene]]:
        """`size` videos of one step: the place of their frames in `scenes`, whether they run
        backwards, and the scene whose captions tell them.
        """
        rng = random.Random(f"{seed}/{step}")
        firsts = list(accumulate(map(len, self.groups), initial=0))
        made: list[tuple[int, bool, Scene]] = []
        while len(made) < size:
            number = rng.randrange(len(self.groups))
            group = self.groups[number]
            made += [(firsts[number] + i, False, scene) for i, scene in enumerate(group)]
            if group[0].twin is not None:
                made.append((firsts[number], True, group[0].twin))
        return made[:size]


@dataclass(frozen=True)
class SceneBatches:
    """Batches of `batch` videos; a share of them lively, of the rest a share static, and what
    then is left temporal with their twins.

    With one frame a video, the frame is drawn at a random time. The twin of a temporal video has
    its frames in another order, so a batch holds the negatives that only order tells apart. A
    static video brings `lookalikes` more that differ from it in shapes, textures, sizes and sides;
    a lively one of which time tells nothing its rival, which differs in one detail.
    """

    batch: int
    frames: int
    size: int
    static: float = 0.5
    twins: bool = True
    lookalikes: int = 0
    seed: int = 0
    lively: float = 0.0

    def __post_init__(self) -> None:
        _check(self.static, self.lookalikes, self.lively)

    def __getitem__(self, step: int) -> tuple[npt.NDArray[np.uint8], list[str], list[str]]:
        """Frames (V, F, S, S, 3), a caption per video, and another of its captions."""
        return self.part(step, slice(None))

    def part(self, step: int, own: slice) -> tuple[npt.NDArray[np.uint8], list[str], list[str]]:
        """A part of the batch; only its frames are drawn."""
        rng = random.Random(f"{self.seed}/{step}")
        made = self._scenes(rng)
        times = [rng.random() if self.frames == 1 else None for _ in made]
        pairs = [rng.sample(scene.captions, 2) for scene in made][own]
        frames = [self._frames(*one) for one in zip(made[own], times[own], strict=True)]
        return np.stack(frames), [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def _scenes(self, rng: random.Random) -> list[Scene]:
        made: list[Scene] = []
        while len(made) < self.batch:
            group = _group(rng, self.static, self.lookalikes, self.lively)
            made += group
            if self.twins and group[0].twin is not None:
                made.append(group[0].twin)
        return made[: self.batch]

    def _frames(self, scene: Scene, time: float | None) -> npt.NDArray[np.uint8]:
        if time is not None:
            return draw(scene, time, size=self.size)[None]
        return clip(scene, self.frames, size=self.size)


def _check(static: float, lookalikes: int, lively: float) -> None:
    for name, share in (("static", static), ("lively", lively)):
        if not 0 <= share <= 1:
            raise BadSetting(f"{name} is {share}; it is a share: 0 to 1")
    if lookalikes < 0:
        raise BadSetting(f"lookalikes is {lookalikes}; it is a number: 0 or more")


def _group(rng: random.Random, static: float, lookalikes: int, lively: float) -> tuple[Scene, ...]:
    """A static scene with its lookalikes, a lively one with its rival, or one that has a twin."""
    if lively and rng.random() < lively:  # no lot is drawn where none are: others stay the same
        scene = random_scene(rng, "lively", "train")
        return (scene,) if scene.rival is None else (scene, scene.rival)
    part: Part = "static" if rng.random() < static else "temporal"
    scene = random_scene(rng, part, "train")
    more = lookalikes if part == "static" else 0
    return (scene, *(lookalike(rng, scene) for _ in range(more)))
