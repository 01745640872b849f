"""The scene: a captioned video before it is drawn; and how scenes are made up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, combinations

from tempme.errors import BadSetting, UnknownName
from tempme.scenes.filming.shots import Shot, random_shots
from tempme.scenes.lively import casting
from tempme.scenes.lively.stages import corner_of
from tempme.scenes.plot import Plot
from tempme.scenes.stages import DEED_OF_PULSE, PULSES
from tempme.scenes.stories import PLOTS
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
EXCHANGED = "-exchanged"
MOST_CLAIMS = 3
"""Deeds that one caption tells, at most."""
PATIENCE = 2000
"""Scenes refused in a row before a split counts as exhausted."""


@dataclass(frozen=True)
class Scene:
    """A captioned video before it is drawn.

    `plot` names a row of `plots.PLOTS`, whose words make the captions; `things` are those the
    captions speak of; `is_reversed` runs the actors' tracks backwards and takes the other words.
    `shots` are how a lively scene is filmed; others have none, and nothing but their actors moves.
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
    # Left out of repr, which for static and temporal scenes is what it was without shots.
    shots: tuple[Shot, ...] = field(default=(), repr=False)

    @property
    def captions(self) -> tuple[str, ...]:
        """All paraphrases: at least four, each true of this scene and not of its twin."""
        words = {"at": BACKGROUNDS[self.background]}
        for letter, thing in zip("abc", self.things, strict=False):
            words |= {letter: thing.name, letter.upper(): thing.full_name}
            words |= {f"{letter}_colour": thing.colour, f"{letter}_shape": thing.shape}
            words |= {f"{letter}_many": plural(thing.name), f"{letter}_texture": thing.texture}
        for letter, actor in zip("ab", self.actors, strict=False):
            where = corner_of(actor.track)
            words |= {f"{letter}_where": where, f"{letter}_side": where.split()[1]}
        words |= dict(zip("xyz", self.verbs, strict=False))
        plot = PLOTS[self.part][self.plot]
        templates = plot.reversed_words if self.is_reversed else plot.words
        return tuple(articles(template.format_map(words)) for template in templates)

    @property
    def deeds(self) -> Deeds:
        """What every caption claims, whichever way time runs."""
        if self.part == "lively":
            return casting.told(self.plot, self.actors, self.verbs)
        plot = PLOTS[self.part][self.plot]
        verbs = plot.deeds or tuple(DEED_OF_PULSE.get(verb, verb) for verb in self.verbs)
        if len(verbs) < len(self.things) and self.part == "static":
            first, second = self.things
            return frozenset({(first.name, *verbs, second.name)})
        return frozenset(
            (thing.name, verb) for thing, verb in zip(self.things, verbs, strict=False)
        ) | frozenset((self.things[0].name, verb) for verb in verbs[len(self.things) :])

    @property
    def shown(self) -> Deeds:
        """All that is true of the scene: what no other scene of a gallery may claim."""
        if self.part == "lively":
            return casting.shown(self.plot, self.actors, self.verbs)
        return self.deeds

    @property
    def twin(self) -> Scene | None:
        """The same frames in reversed order; None where order tells nothing."""
        if not PLOTS[self.part][self.plot].reversed_words:
            return None
        base = self.id.removesuffix("-reversed")
        return replace(
            self,
            id=base if self.is_reversed else f"{base}-reversed",
            is_reversed=not self.is_reversed,
        )

    @property
    def rival(self) -> Scene | None:
        """The same but for one detail, which all captions tell: two things have each other's
        places or textures. None where time tells, or where nothing was filmed (static).
        """
        what = PLOTS[self.part][self.plot].exchanges
        if not what:
            return None
        actors = casting.exchanged(self.actors, what)
        base = self.id.removesuffix(EXCHANGED)
        return replace(
            self,
            id=base if self.id != base else f"{base}{EXCHANGED}",
            things=tuple(actor.thing for actor in actors),
            actors=actors,
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
    if part == "lively":
        drawn = partial(_thing, rng, turns="turns" in verbs)
        things = casting.cast(rng, plot.cast, background, split, drawn)
    else:
        things = _cast(rng, plot, verbs, background, split)
    if part != "static":
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
        shots=random_shots(rng, split) if part == "lively" else (),
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
    """`count` scenes, no caption of which fits two; each next to its twin or its rival, if any.

    The same arguments give the same scenes on every machine. Raises `BadSetting` if the split
    has fewer scenes, or for an odd count of scenes that come in twos.
    """
    check(part, split)
    if count < 0 or (part != "static" and count % 2):
        raise BadSetting(
            f"count is {count}; it is 0 or more, and even for {part}, "
            f"which come with their {'twins' if part == 'temporal' else 'twins or rivals'}"
        )
    rng = random.Random(((seed * 16) + PARTS.index(part)) * 16 + SPLITS.index(split))
    return tuple(_distinct(rng, count, part, split, seed))


def _distinct(
    rng: random.Random, count: int, part: Part, split: Split, seed: int
) -> Iterator[Scene]:
    whole: set[tuple[str, Deeds]] = set()
    lesser: set[tuple[str, Deeds]] = set()
    made = refused = 0
    while made < count:
        scene = replace(random_scene(rng, part, split), is_reversed=False)
        scene = replace(scene, id=f"{part}-{split}-{seed}-{made:06d}")
        other = scene.twin or scene.rival
        both = (scene,) if other is None else (scene, other)
        claims = {(one.background, one.deeds) for one in both}
        truths = {(one.background, less) for one in both for less in _subsets(one.shown)}
        if not claims.isdisjoint(lesser) or not whole.isdisjoint(truths):
            refused += 1
            if refused > PATIENCE:
                raise BadSetting(
                    f"count is {count}; {part} scenes of {split} that no caption confuses: {made}"
                )
            continue
        refused = 0
        whole |= claims
        lesser |= truths
        yield from both
        made += len(both)


def _subsets(deeds: Deeds) -> Iterator[Deeds]:
    sizes = range(1, min(MOST_CLAIMS, len(deeds)) + 1)
    return map(frozenset, chain.from_iterable(combinations(sorted(deeds), n) for n in sizes))


def check(part: str, split: str) -> None:
    """Refuse a part or a split that does not exist."""
    if part not in PARTS:
        raise UnknownName.among("part", part, PARTS)
    if split not in SPLITS:
        raise UnknownName.among("split", split, SPLITS)
