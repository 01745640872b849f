"""DiffRate's rates for a model: learnt on generated scenes or on videos with captions.

The weights stay as they are; what is learnt are the numbers of tokens that every block keeps
(`compression.diffrate_rates`), until a frame costs a share of what it costs without compression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.backbones.layers import Block
from tempme.backbones.vision import VisionTower
from tempme.compression.diffrate_learning import (
    LearntRates,
    RateSettings,
    learn_rates,
    multiply_adds,
)
from tempme.datasets.clips import ClipBatches
from tempme.datasets.folder import load_folder
from tempme.datasets.pairs import Split
from tempme.errors import BadSetting
from tempme.retriever.checkpoint import build
from tempme.retriever.retriever import Retriever
from tempme.scenes.batches import SceneBatches
from tempme.systems.table import system
from tempme.training.losses import contrastive_loss

# The weight of the distance is for a model of this many giga multiply-adds a frame
# (ViT-B at 224 pixels in 50 tokens); for others it is scaled so that shares weigh the same.
WEIGHED_AT_GMACS = 4.41


# The frames, uint8 (V, F, S, S, 3), and captions of the batch of a number.
Source = Callable[[int], tuple[npt.NDArray[np.uint8], list[str]]]


@dataclass(frozen=True)
class Learning:
    """How rates are learnt.

    target: multiply-adds of a frame by DiffRate's formula, as a share of those of the dense model.
    steps: updates in all; the rate falls in `epochs` parts of them.
    weight: of the squared distance to the target beside the contrastive loss. The official 5 is for
        a classifier that hardly notices; a retriever that gains by every token settles above its
        target with it.
    """

    target: float
    steps: int = 300
    epochs: int = 3
    batch: int = 16
    granularity: int = 1
    learning_rate: float = 0.05
    weight: float = 50.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise BadSetting(
                f"target is {self.target}; it is a share of the dense model's multiply-adds: "
                f"between 0 and 1, such as 0.7"
            )
        for name in ("steps", "epochs", "batch", "granularity"):
            if getattr(self, name) < 1:
                raise BadSetting(f"{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True)
class FoundRates:
    """Rates, and the model that they are for."""

    rates: LearntRates
    backbone: str | None  # None where it has no name
    weights: str
    frames: int
    share: float  # multiply-adds with the rates, as a share of the dense model's

    def settings(self) -> dict[str, Any]:
        """The [system] table of an experiment: the row `diffrate` with these rates."""
        named = {} if self.backbone is None else {"backbone": self.backbone}
        kept = {"prune": list(self.rates.prune), "merge": list(self.rates.merge)}
        facts = {"name": "diffrate", "frames": self.frames, "weights": self.weights}
        return {"system": facts | named | {"compression": kept}}

    def toml(self) -> str:
        """The same as text, a line for each step."""
        facts = self.settings()["system"]
        kept = facts.pop("compression")
        rates = ", ".join(f"{step} = {numbers}" for step, numbers in kept.items())
        return f"[system]\n{tomli_w.dumps(facts)}compression = {{{rates}}}\n"


def dense_model(source: str | Path) -> Retriever:
    """A retriever without compression: the saved one, or LoRA on the backbone of it."""
    found = Retriever.load(source)
    if all(type(layer) is Block for layer in found.backbone.vision.layers):
        return found
    row = system("lora", backbone=found.system.backbone, frames=found.num_frames)
    return Retriever(build(row, source, seed=0)).eval()


def learn(model: str | Path, settings: Learning, *, videos: Path | None = None) -> FoundRates:
    """Learn rates for `model` (what `tempme.load` reads) on scenes, or on a folder of videos."""
    retriever = dense_model(model)
    vision, sizes = retriever.backbone.vision, retriever.backbone.config
    if not isinstance(vision, VisionTower) or not isinstance(sizes, ClipConfig):
        raise BadSetting(
            f"DiffRate chooses tokens by the class token of a frame, and {model} has none: learn "
            f"rates of a CLIP"
        )
    if videos is None:
        source = _scenes(retriever, settings)
    else:
        source = _folder(retriever, settings, videos)
    dense = dense_gmacs(retriever)
    epochs = min(settings.epochs, settings.steps)
    rates = learn_rates(
        vision,
        _Epoch(retriever, source, settings.steps // epochs),
        _Task(retriever),
        RateSettings(
            target_gmacs=settings.target * dense,
            granularity=settings.granularity,
            epochs=epochs,
            learning_rate=settings.learning_rate,
            last_learning_rate=settings.learning_rate / 10,
            weight=settings.weight * (WEIGHED_AT_GMACS / dense) ** 2,
        ),
    )
    return FoundRates(
        rates,
        _name_of(sizes),
        str(model).rpartition(":")[2],
        retriever.num_frames,
        rates.gmacs / dense,
    )


def dense_gmacs(retriever: Retriever) -> float:
    """Giga multiply-adds of a frame without compression, by DiffRate's formula."""
    config = retriever.backbone.config
    all_tokens = torch.tensor(float(config.tokens))
    kept = [(all_tokens, all_tokens)] * config.layers
    sizes = {"tokens": config.tokens, "width": config.width, "patch": config.patch}
    return float(multiply_adds(kept, **sizes, outputs=config.embed)) / 1e9


def _name_of(config: ClipConfig) -> str | None:
    """The backbone of these sizes, whatever words it knows."""
    alike = (name for name, one in BACKBONES.items() if replace(one, vocab=config.vocab) == config)
    return next(alike, None)


def _scenes(retriever: Retriever, settings: Learning) -> Source:
    """New scenes in every batch."""
    size, frames = retriever.image_size, retriever.num_frames
    made = SceneBatches(settings.batch, frames, size, seed=settings.seed)
    return lambda step: made[step][:2]


def _folder(retriever: Retriever, settings: Learning, videos: Path) -> Source:
    """Videos of a person's folder, all of its captions."""
    split = Split(videos.name, load_folder(videos))
    clips = ClipBatches(
        split,
        frames=retriever.num_frames,
        size=retriever.image_size,
        batch=min(settings.batch, len(split.videos)),
        seed=settings.seed,
        workers=0,
    )
    return lambda step: clips.part(step, 0, 1)[:2]


@dataclass(frozen=True)
class _Epoch:
    """The same batches every time it is read."""

    retriever: Retriever
    source: Source
    steps: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(self.steps):
            frames, captions = self.source(step)
            with torch.no_grad():
                texts = self.retriever.encode_texts(captions)
            yield self.retriever.transform(frames), texts


@dataclass(frozen=True)
class _Task:
    """The contrastive loss that the model was trained with."""

    retriever: Retriever

    def __call__(self, projected: Tensor, texts: Tensor) -> Tensor:
        videos = normalize(self.retriever.system.pooling(projected.float()), dim=-1)
        return contrastive_loss(texts, videos, self.retriever.backbone.logit_scale.detach())
