"""Experiments are files: what is trained, on what, how, and how it is judged.

[system]      name, backbone, frames, weights (a saved or shipped retriever, or none)
[data]        static (share of static videos), twins, lookalikes; pool: scenes to learn from
                  (0: new ones in every batch; else frozen blocks run once for each)
[recipe]      fields of `training.Recipe`
[evaluation]  gallery (videos of each part)
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tempme.checkpoint import build
from tempme.clip.tokenizer import Tokenizer
from tempme.datasets.batches import Pool, SceneBatches
from tempme.datasets.scenes import PARTS, Part, clip, scenes
from tempme.errors import BadSetting
from tempme.metrics import both_directions
from tempme.results import environment
from tempme.retriever import Retriever
from tempme.schedule import total_tokens
from tempme.training import Batches, BegunBatches, Recipe, fit
from tempme.zoo import System, system

VOCABULARY_SCENES = 2000  # scenes of each part and split whose captions make the vocabulary
EVALUATION_SEED = 0
ENCODED_AT_ONCE = 25  # videos
EQUAL_DIGITS = 5  # scores nearer than this are the same


@dataclass(frozen=True)
class SystemSettings:
    """The row of the table, and where its weights come from; tuning settings overrule the row's."""

    name: str
    backbone: str = "scenes-tiny"
    frames: int = 12
    weights: str | None = None
    tuning: Mapping[str, Any] = field(default_factory=dict)

    def system(self) -> System:
        """The system with its overruled settings."""
        row = system(self.name, backbone=self.backbone, frames=self.frames)
        return replace(row, tuning=replace(row.tuning, **self.tuning))


@dataclass(frozen=True)
class DataSettings:
    """What a batch of scenes is made of."""

    static: float = 0.5
    twins: bool = True
    lookalikes: int = 0
    pool: int = 0


@dataclass(frozen=True)
class EvaluationSettings:
    """Held-out scenes that a trained system has to find."""

    gallery: int = 500


@dataclass(frozen=True)
class Experiment:
    """One file of experiments/."""

    name: str
    system: SystemSettings
    data: DataSettings = DataSettings()
    recipe: Recipe = field(default_factory=Recipe)
    evaluation: EvaluationSettings = EvaluationSettings()

    @classmethod
    def read(cls, path: Path, changes: Sequence[str] = ()) -> Experiment:
        """The experiment in a TOML file; `changes` are `table.key=value`."""
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as reason:
            raise BadSetting(f"{path} is no experiment: {reason}") from reason
        for change in changes:
            _change(table, change)
        return cls.of(f"{path.parent.name}/{path.stem}", table, path)

    @classmethod
    def of(cls, name: str, table: Mapping[str, Any], origin: object) -> Experiment:
        """The experiment that TOML tables describe."""
        kinds = {
            "system": SystemSettings,
            "data": DataSettings,
            "recipe": Recipe,
            "evaluation": EvaluationSettings,
        }
        unknown = table.keys() - kinds.keys()
        if unknown or "system" not in table:
            raise BadSetting(
                f"{origin} has tables {sorted(table)}; it needs [system] and may have "
                f"{', '.join(sorted(kinds.keys() - {'system'}))}"
            )
        try:
            parts = {
                key: kinds[key](**{k: _frozen(v) for k, v in value.items()})
                for key, value in table.items()
            }
        except TypeError as reason:
            raise BadSetting(f"{origin}: {reason}") from reason
        return cls(name=name, **parts)


def run(
    experiment: Experiment, *, seed: int, folder: Path, show_progress: bool = True
) -> tuple[Retriever, dict[str, Any]]:
    """Train and judge: the retriever and its result, ready for results/."""
    made = experiment.system.system()
    weights = experiment.system.weights
    tokenizer = None if weights else vocabulary(made.max_words)
    retriever = build(made, weights, tokenizer=tokenizer, seed=seed)
    started = time.perf_counter()
    batches = _batches(experiment, retriever, seed)
    fit(
        retriever,
        batches,
        experiment.recipe,
        folder=folder,
        seed=seed,
        show_progress=show_progress,
    )
    seconds = time.perf_counter() - started
    retriever.save(folder / "retriever")
    cost = retriever.system.cost()
    result = {
        "experiment": experiment.name,
        "seed": seed,
        "settings": asdict(experiment),
        "metrics": {
            part: judge(retriever, part, gallery=experiment.evaluation.gallery) for part in PARTS
        },
        "cost": asdict(cost)
        | {
            "tokens": total_tokens(retriever.system.plan()),
            "trainable_parameters": made.trainable_parameters(),
        },
        "training_seconds": round(seconds, 1),
        "environment": environment(),
    }
    return retriever, result


def _batches(experiment: Experiment, retriever: Retriever, seed: int) -> Batches:
    data, batch = experiment.data, experiment.recipe.batch
    if data.pool:
        pool = Pool.of(data.pool, static=data.static, lookalikes=data.lookalikes, seed=seed)
        return BegunBatches(retriever, pool, batch=batch, seed=seed)
    return SceneBatches(
        batch=batch,
        frames=retriever.frames,
        size=retriever.image_size,
        static=data.static,
        twins=data.twins,
        lookalikes=data.lookalikes,
        seed=seed,
    )


@torch.inference_mode()
def judge(retriever: Retriever, part: Part, *, gallery: int) -> dict[str, Any]:
    """Metrics of held-out scenes, one caption each: both directions, and twins told apart.

    `twins` is the share (%) of temporal captions nearer to their video than to its twin, a tie
    counting half; mean pooling cannot do better than 50.
    """
    found = scenes(gallery, part=part, split="test", seed=EVALUATION_SEED)
    ready = retriever.for_inference("fp32")
    videos = torch.cat(
        [
            ready.encode_videos(
                torch.stack(
                    [
                        ready.transform(clip(scene, ready.frames, size=ready.image_size))
                        for scene in found[first : first + ENCODED_AT_ONCE]
                    ]
                )
            )
            for first in range(0, len(found), ENCODED_AT_ONCE)
        ]
    )
    texts = ready.encode_texts([scene.captions[0] for scene in found])
    matrix = (texts @ videos.T).numpy().round(EQUAL_DIGITS)
    answer: dict[str, Any] = _expected(matrix)
    if part == "temporal":
        own = matrix.diagonal()
        place = {scene.id: number for number, scene in enumerate(found)}
        twin = [place[scene.twin.id] for scene in found if scene.twin]
        other = matrix[range(len(twin)), twin]
        share = (own > other).mean() + (own == other).mean() / 2
        answer["twins"] = round(100 * float(share), 2)
    return answer


def _expected(matrix: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Both directions, a tie counting half: mean-pooled twins are equal but for rounding."""
    kindly, harshly = (both_directions(matrix, ties=t) for t in ("optimistic", "pessimistic"))
    return {
        name: {key: (value + bad[key]) / 2 for key, value in good.items()}
        for name, good, bad in (
            ("t2v", kindly.t2v.as_dict(), harshly.t2v.as_dict()),
            ("v2t", kindly.v2t.as_dict(), harshly.v2t.as_dict()),
        )
    }


def vocabulary(context: int) -> Tokenizer:
    """The words of the scenes' captions, and no others."""
    captions = (
        caption
        for part in PARTS
        for split in ("train", "test")
        for scene in scenes(VOCABULARY_SCENES, part=part, split=split, seed=1)
        for caption in scene.captions
    )
    return Tokenizer.of_words(captions, context=context)


def _change(table: dict[str, Any], change: str) -> None:
    """Set one key of one table from `table.key=value`, the value as TOML has it."""
    where, _, value = change.partition("=")
    section, _, key = where.strip().partition(".")
    if not key or not value:
        raise BadSetting(f"--set {change!r} is not of the form table.key=value")
    try:
        table.setdefault(section, {})[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[section][key] = value  # a bare word is a string


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
