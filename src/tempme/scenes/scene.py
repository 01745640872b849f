"""The scene: a captioned video before it is drawn; and how scenes are made up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations

from tempme.errors import BadSetting, UnknownName
from tempme.scenes.stages import DEED_OF_PULSE, PULSES
from tempme.scenes.stories import PLOTS, Plot
from tempme.scenes.world import (
    BACKGROUNDS,
    COLOURS,
    PARTS,
    SHAPES,
    SIZES,
    SPLITS,
    TEXTURES,
    TICKS,
    Actor,
    Part,
    Split,
    Thing,
    articles,
    home,
    plural,
)

Deeds = frozenset[tuple[str, ...]]
NO_SYMMETRY = tuple(shape for shape in SHAPES if shape not in ("circle", "ring"))
"""Shapes whose turning can be seen."""
PATIENCE = 2000
"""Scenes refused in a row before a split counts as exhausted."""


@dataclass(frozen=True)
class Scene:
    """A captioned video before it is drawn.

    `plot` names a row of `plots.PLOTS`, whose words make the captions; `things` are those the
    captions speak of; `is_reversed` runs the actors' tracks backwards and takes the other words.
    """

    id: str
    part: Part
    split: Split
    seconds: float
    background: str
    plot: str
    things: tuple[Thing, ...]
    verbs: tuple[str, ...]
    actors: tuple[Actor, ...]
    is_reversed: bool = False

    @property
    def captions(self) -> tuple[str, ...]:
        """All paraphrases: at least four, each true of this scene and not of its twin."""
        words = {"at": BACKGROUNDS[self.background]}
        for letter, thing in zip("abc", self.things, strict=False):
            words |= {letter: thing.name, letter.upper(): thing.full_name}
            words |= {f"{letter}_colour": thing.colour, f"{letter}_shape": thing.shape}
            words |= {f"{letter}_many": plural(thing.name)}
        words |= dict(zip(("x", "y"), self.verbs, strict=False))
        plot = PLOTS[self.part][self.plot]
        templates = plot.reversed_words if self.is_reversed else plot.words
        return tuple(articles(template.format_map(words)) for template in templates)

    @property
    def deeds(self) -> Deeds:
        """What every caption claims, whichever way time runs."""
        plot = PLOTS[self.part][self.plot]
        verbs = plot.deeds or tuple(DEED_OF_PULSE.get(verb, verb) for verb in self.verbs)
        if len(verbs) < len(self.things) and self.part == "static":
            first, second = self.things
            return frozenset({(first.name, *verbs, second.name)})
        return frozenset(
            (thing.name, verb) for thing, verb in zip(self.things, verbs, strict=False)
        ) | frozenset((self.things[0].name, verb) for verb in verbs[len(self.things) :])

    @property
    def twin(self) -> Scene | None:
        """The same frames in reversed order; None where order tells nothing (static)."""
        if self.part == "static":
            return None
        base = self.id.removesuffix("-reversed")
        return replace(
            self,
            id=base if self.is_reversed else f"{base}-reversed",
            is_reversed=not self.is_reversed,
        )

    def tick(self, at: float) -> int:
        """The instant of the tracks that the share `at` of the duration shows."""
        tick = round(min(1.0, max(0.0, at)) * TICKS)
        return TICKS - tick if self.is_reversed else tick


def random_scene(rng: random.Random, part: Part, split: Split) -> Scene:
    """Any scene of a split; many calls may repeat captions, as batches of training do."""
    check(part, split)
    name = rng.choice(tuple(PLOTS[part]))
    plot = PLOTS[part][name]
    verbs = tuple(rng.choice(tuple(PULSES)) for _ in range(plot.num_verbs))
    background = rng.choice(tuple(BACKGROUNDS))
    things = _cast(rng, plot, verbs, background, split)
    if part == "temporal":
        things = tuple(thing._replace(size="", texture=thing.texture) for thing in things)
    scene = Scene(
        id=f"{part}-{split}-{rng.getrandbits(40):010x}",
        part=part,
        split=split,
        seconds=float(rng.randint(4, 8)),
        background=background,
        plot=name,
        things=things,
        verbs=verbs,
        actors=plot.stage(rng, things, verbs),
    )
    twin = scene.twin
    return twin if twin is not None and rng.random() < 0.5 else scene


def lookalike(rng: random.Random, scene: Scene) -> Scene:
    """A static scene of the same split, background and colours: only shapes, textures, sizes and
    sides tell the two apart, so it makes a hard negative in a batch.
    """
    if scene.part != "static":
        raise BadSetting("only static scenes have lookalikes; temporal ones have twins")
    while True:
        things = tuple(_thing(rng, turns=False)._replace(colour=t.colour) for t in scene.things)
        things = things if rng.random() < 0.5 else things[::-1]
        names = {thing.name for thing in things}
        homes = {home(thing, scene.background) for thing in things}
        is_ours = scene.split in homes and homes <= {"train", scene.split}
        if is_ours and len(names) == len(things) and things != scene.things:
            actors = PLOTS[scene.part][scene.plot].stage(rng, things, scene.verbs)
            return replace(
                scene, id=f"{scene.id}-{rng.getrandbits(24):06x}", things=things, actors=actors
            )


def _cast(
    rng: random.Random, plot: Plot, verbs: tuple[str, ...], background: str, split: Split
) -> tuple[Thing, ...]:
    """Things for the plot such that the scene belongs to the split."""
    moods = plot.deeds if plot.num_verbs == 0 else verbs
    while True:
        first = _thing(rng, turns="turns" in moods[: 1 if plot.cast else 2])
        things: tuple[Thing, ...] = (first,)
        if plot.cast:
            second = _thing(rng, turns="turns" in moods[1:])
            if plot.cast == "colour":
                second = first._replace(colour=second.colour)
            if plot.cast == "shape":
                second = first._replace(shape=second.shape)
            things = (first, second)
        homes = {home(thing, background) for thing in things}
        is_ours = split in homes and homes <= {"train", split}
        if is_ours and len({thing.name for thing in things}) == len(things):
            return things


def _thing(rng: random.Random, *, turns: bool) -> Thing:
    return Thing(
        rng.choice(tuple(COLOURS)),
        rng.choice(NO_SYMMETRY if turns else SHAPES),
        rng.choice(TEXTURES),
        rng.choice(tuple(SIZES)),
    )


def scenes(count: int, *, part: Part, split: Split, seed: int = 0) -> tuple[Scene, ...]:
    """`count` scenes, no caption of which fits two; temporal: each next to its twin.

    The same arguments give the same scenes on every machine. Raises `BadSetting` if the split
    has fewer scenes, or for an odd count of temporal scenes.
    """
    check(part, split)
    if count < 0 or (part == "temporal" and count % 2):
        raise BadSetting(
            f"count is {count}; it is 0 or more, and even for temporal, which come with their twins"
        )
    rng = random.Random(((seed * 16) + PARTS.index(part)) * 16 + SPLITS.index(split))
    return tuple(_distinct(rng, count, part, split, seed))


def _distinct(
    rng: random.Random, count: int, part: Part, split: Split, seed: int
) -> Iterator[Scene]:
    whole: set[tuple[str, Deeds]] = set()
    partial: set[tuple[str, Deeds]] = set()
    made = refused = 0
    while made < count:
        scene = random_scene(rng, part, split)
        told = scene.background, scene.deeds
        lesser = {(scene.background, less) for less in _subsets(scene.deeds)}
        if told in partial or not whole.isdisjoint(lesser):
            refused += 1
            if refused > PATIENCE:
                raise BadSetting(
                    f"count is {count}; {part} scenes of {split} that no caption confuses: {made}"
                )
            continue
        refused = 0
        whole.add(told)
        partial |= lesser
        scene = replace(scene, id=f"{part}-{split}-{seed}-{made:06d}", is_reversed=False)
        yield scene
        made += 1
        if scene.twin is not None:
            yield scene.twin
            made += 1


def _subsets(deeds: Deeds) -> Iterator[Deeds]:
    sizes = range(1, len(deeds) + 1)
    return map(frozenset, chain.from_iterable(combinations(sorted(deeds), n) for n in sizes))


def check(part: str, split: str) -> None:
    """Refuse a part or a split that does not exist."""
    if part not in PARTS:
        raise UnknownName.among("part", part, PARTS)
    if split not in SPLITS:
        raise UnknownName.among("split", split, SPLITS)
