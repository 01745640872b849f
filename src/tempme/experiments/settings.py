"""An experiment file -> values: what is trained, on what, how, and how it is judged.

[system]      name; weights (a published tag, a file, folder or hub id of CLIP weights, a saved or
              shipped retriever of which only the backbone has learnt, where questions are asked a
              saved answerer alike, or none), or continue_from (a saved retriever that is trained
              on, as the system that it is); backbone, where the weights do not say it; frames and
              max_words, without which they are the data set's; activation, where the weights do not
              say it; tuning and compression: settings that override the row's; fit: what becomes of
              frames that are not square, "crop" (the default), "squash" or "pad"
[data]        name = "scenes" (the default): lively (share of lively videos; 0), static (share of
              static ones among the others), twins, lookalikes; plots (of lively videos, only
              these; all);
              pool: scenes to learn from (0: new ones in every batch; else frozen blocks run once
              for each)
              name = "scenes-questions": questions about them; static (share of static videos)
              name = a published data set (msrvtt-qa and msvd-qa: questions), or "folder":
              annotations, videos, train, validation, test, augment (true or "rand-augment",
              "crop-flip"), draws_frames (one of each equal part of a clip, instead of even
              spacing), workers, worker_memory_mb, on_bad ("skip" or "fail"), frame_rate (pictures
              a second, where videos are folders of pictures; 1)
[recipe]      fields of `training.Recipe`
[evaluation]  gallery (scenes of each part); select = "last", "validation" or "test": which
              weights are reported (the paper's own protocol is "test")
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempme.backbones.sizes import Sizes
from tempme.datasets.moment_reader import augment_of
from tempme.datasets.table import DATASETS, FOLDER
from tempme.errors import BadSetting, UnknownName
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.scenes.stories import PLOTS
from tempme.settings import typed, values_of
from tempme.systems.system import System
from tempme.systems.table import SYSTEMS, UMT, system
from tempme.training.recipe import Recipe
from tempme.video.values import FITS, Fit

SCENES, SCENE_QUESTIONS = "scenes", "scenes-questions"
SELECTIONS = ("last", "validation", "test")
BAD = ("skip", "fail")
# The backbone of what has neither weights nor a backbone; that of a UMT.
FROM_SCRATCH, UMT_FROM_SCRATCH = "scenes-tiny", "UMT-scenes"
FRAMES, MAX_WORDS = 12, 32  # of rows and data sets that say nothing else
_OF_THE_SAVED = ("weights", "backbone", "activation", "budget", "tuning", "compression")


@dataclass(frozen=True)
class SystemSettings:
    """The row of the table, and where its weights come from; settings override the row's.

    budget: the row at this share of the multiply-adds without compression, before they do.
    """

    name: str
    backbone: str | None = None
    frames: int | None = None
    max_words: int | None = None
    weights: str | None = None
    continue_from: str | None = None
    activation: str | None = None
    fit: Fit | None = None
    budget: float | None = None
    tuning: Mapping[str, Any] = field(default_factory=dict)
    compression: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("max_words", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadSetting(f"system.{name} is {value}; it must be {least} or more")
        if self.budget is not None and not self.budget > 0:
            raise BadSetting(f"system.budget is {self.budget}; a share, so above 0")
        if self.fit not in (None, *FITS):
            raise BadSetting(f"system.fit is {self.fit!r}; it is one of {', '.join(FITS)}")
        if self.continue_from is None:
            return
        given = [name for name in _OF_THE_SAVED if getattr(self, name)]
        if given:
            raise BadSetting(
                f"system.{given[0]} is given beside continue_from: a retriever that is trained on "
                f"stays the system that it is; leave {' and '.join(given)} out"
            )

    def system(self, backbone: str | Sizes | None = None) -> System:
        """The system with overridden settings, on the backbone that weights turned out to be."""
        row = system(
            self.name,
            backbone=self.backbone or backbone or _from_scratch(self.name),
            frames=self.frames or _frames_of(self.name),
            max_words=self.max_words,
            budget=self.budget,
        )
        tuning = values_of(type(row.tuning), self.tuning, "system.tuning")
        compression = values_of(type(row.compression), self.compression, "system.compression")
        return replace(
            row,
            fit=self.fit or row.fit,
            tuning=replace(row.tuning, **tuning),
            compression=replace(row.compression, **compression),
        )


@dataclass(frozen=True)
class SceneData:
    """What a batch of generated scenes is made of."""

    name: str = SCENES
    static: float = 0.5
    twins: bool = True
    lookalikes: int = 0
    pool: int = 0
    lively: float = 0.0
    plots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for plot in self.plots:
            if plot not in PLOTS["lively"]:
                raise UnknownName.among("plot of lively scenes", plot, PLOTS["lively"])
        for name in ("static", "lively"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadSetting(f"data.{name} is {getattr(self, name)}; it is a share: 0 up to 1")
        for name in ("lookalikes", "pool"):
            if getattr(self, name) < 0:
                raise BadSetting(f"data.{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True)
class SceneQuestions:
    """Questions about generated scenes, made by their grammar."""

    name: str = SCENE_QUESTIONS
    static: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.static <= 1:
            raise BadSetting(f"data.static is {self.static}; it is a share: 0 up to 1")


@dataclass(frozen=True)
class VideoData:
    """A data set on disk: annotation files, videos, and which of its splits do what."""

    name: str
    annotations: str
    videos: str | None = None
    train: str = "train"
    validation: str | None = None
    test: str = "test"
    augment: bool | str = False
    draws_frames: bool = False
    workers: int | None = None
    worker_memory_mb: float = WORKER_MEMORY_MB
    on_bad: str = "skip"
    frame_rate: float = 1.0

    def __post_init__(self) -> None:
        augment_of(self.augment)
        if not self.frame_rate > 0:
            raise BadSetting(f"data.frame_rate is {self.frame_rate}; it must be above 0")
        if self.on_bad not in BAD:
            raise BadSetting(f"data.on_bad is {self.on_bad!r}; possible: {', '.join(BAD)}")


@dataclass(frozen=True)
class EvaluationSettings:
    """Held-out videos that a trained system has to find, and which weights are reported."""

    gallery: int = 500
    select: str = "last"

    def __post_init__(self) -> None:
        if self.gallery < 1:
            raise BadSetting(f"evaluation.gallery is {self.gallery}; it must be 1 or more")
        if self.select not in SELECTIONS:
            raise BadSetting(
                f"evaluation.select is {self.select!r}; possible: {', '.join(SELECTIONS)}"
            )


@dataclass(frozen=True)
class Experiment:
    """One file of experiments/."""

    name: str
    system: SystemSettings
    data: SceneData | SceneQuestions | VideoData = SceneData()
    recipe: Recipe = field(default_factory=Recipe)
    evaluation: EvaluationSettings = EvaluationSettings()

    @classmethod
    def read(cls, path: Path, changes: Sequence[str] = ()) -> Experiment:
        """The experiment in a TOML file; `changes` are `table.key=value`."""
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as reason:
            raise BadSetting(f"{path} is not an experiment: {reason}") from reason
        for change in changes:
            set_key(table, change)
        return cls.of("/".join(filter(None, (path.parent.name, path.stem))), table, path)

    @classmethod
    def of(cls, name: str, table: Mapping[str, Any], origin: object) -> Experiment:
        """The experiment that TOML tables describe."""
        kinds: dict[str, Any] = {
            "system": SystemSettings,
            "data": _kind_of_data(table.get("data", {})),
            "recipe": Recipe,
            "evaluation": EvaluationSettings,
        }
        unknown = table.keys() - kinds.keys()
        if unknown or "system" not in table:
            raise BadSetting(
                f"{origin} has tables {sorted(table)}; it needs [system] and may have "
                f"{', '.join(sorted(kinds.keys() - {'system'}))}"
            )
        parts = {key: typed(kinds[key], value, key) for key, value in table.items()}
        return _as_long_as_its_data(cls(name=name, **parts))

    @property
    def asks(self) -> bool:
        """Whether a model learns to answer questions here, rather than to find videos."""
        known = DATASETS.get(self.data.name)
        return self.data.name == SCENE_QUESTIONS or (known is not None and known.ask is not None)

    @property
    def lengths_elsewhere(self) -> str:
        """What a person has to know of frames and words that are not the data set's; else empty."""
        known = DATASETS.get(self.data.name)
        made = self.system
        if known is None or made.continue_from or _has_lengths_of_its_own(made.name):
            return ""
        if (made.frames, made.max_words) == (known.frames, known.max_words):
            return ""
        return (
            f"{self.data.name} is read with {known.frames} frames and {known.max_words} words in "
            f"the literature; this run has {made.frames} and {made.max_words}"
        )


def _as_long_as_its_data(read: Experiment) -> Experiment:
    """The experiment with the frames and words of its data set, where it says no others."""
    known, made = DATASETS.get(read.data.name), read.system
    if known is None or made.continue_from or _has_lengths_of_its_own(made.name):
        return read
    frames, words = made.frames or known.frames, made.max_words or known.max_words
    return replace(read, system=replace(made, frames=frames, max_words=words))


def _from_scratch(name: str) -> str:
    return UMT_FROM_SCRATCH if name in UMT else FROM_SCRATCH


def _frames_of(name: str) -> int:
    return SYSTEMS[name].frames if _has_lengths_of_its_own(name) else FRAMES


def _has_lengths_of_its_own(name: str) -> bool:
    """Whether the authors of a row read other lengths than all others do."""
    row = SYSTEMS.get(name)
    return row is not None and (row.frames, row.max_words) != (FRAMES, MAX_WORDS)


def set_key(table: dict[str, Any], change: str) -> None:
    """Set one key of a table, or of a table in it, from `table.key=value`, as TOML has it."""
    where, _, value = change.partition("=")
    *sections, key = where.strip().split(".")
    if not sections or not key or not value:
        raise BadSetting(f"--set {change!r} is not of the form table.key=value")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise BadSetting(f"--set {change!r}: {section} is {table!r}, which has no keys")
    try:
        table[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = value  # a bare word is a string


def _kind_of_data(table: object) -> type[SceneData] | type[SceneQuestions] | type[VideoData]:
    name = table.get("name", SCENES) if isinstance(table, Mapping) else SCENES
    if name == SCENES:
        return SceneData
    if name == SCENE_QUESTIONS:
        return SceneQuestions
    if name not in (FOLDER, *DATASETS):
        raise UnknownName.among("data set", str(name), [SCENES, SCENE_QUESTIONS, FOLDER, *DATASETS])
    return VideoData
