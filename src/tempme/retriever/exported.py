"""An exported folder as a model: an engine, and of the model itself only what it is.

Its weights are in the files of the engine. What stands in their place has sizes and no numbers, so
that nothing is computed with it by mistake.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from tempme.backbones.backbone import made_of
from tempme.backbones.umt.model import Umt
from tempme.backbones.vocabularies import load_words
from tempme.engines.engine import Engine
from tempme.engines.folder import NAME, EngineFacts, is_engine, read_engine, read_facts
from tempme.errors import BadWeights
from tempme.retriever.described import Described, to_toml
from tempme.retriever.fingerprint import fingerprints
from tempme.retriever.parts import Parts
from tempme.retriever.running import Running, agreed
from tempme.settings import typed

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class AboutExport:
    """What of a model `engine.json` tells: all that is not in the towers."""

    system: Mapping[str, Any]
    origin: str
    fingerprints: tuple[str, str]
    logit_scale: float
    preprocessing: Mapping[str, Any]
    agreement: Mapping[str, float]
    towers: Mapping[str, Any]


class Exported(NamedTuple):
    """A model whose weights are in its engine."""

    parts: Parts
    names: tuple[str, str]
    engine: Engine


def about(parts: Parts) -> dict[str, Any]:
    """What `engine.json` is to tell of a model."""
    system = parts.system
    config = system.config
    return {
        "system": to_toml(system),
        "origin": parts.origin,
        "fingerprints": fingerprints(system, parts.backbone, parts.tokenizer),
        "logit_scale": float(parts.backbone.logit_scale.detach()),
        "preprocessing": {
            "frames": system.frames,
            "sampling": "evenly spread",
            "size": config.image_size,
            "fit": system.fit,
            "resample": "bicubic",
            "scale": 1 / 255,
            "mean": list(config.mean),
            "std": list(config.std),
            "layout": "frames, channels, height, width",
        },
    }


def exported_in(source: object) -> Exported | None:
    """The model in an exported folder; None where there is none. BadWeights, MissingExtra."""
    if not isinstance(source, str | Path) or not is_engine(Path(source)):
        return None
    folder = Path(source)
    facts, _ = read_facts(folder)
    told = typed(AboutExport, facts.about, str(folder / NAME))
    system = typed(Described, told.system, str(folder / NAME)).system()
    _check_sizes(facts, system.frames, system.config.embed, folder)
    with torch.device("meta"):
        backbone = made_of(system.config)
    scale = torch.tensor(told.logit_scale)
    if isinstance(backbone, Umt):
        backbone.temperature = nn.Parameter((-scale).exp())
    else:
        backbone.logit_scale = nn.Parameter(scale)
    tokenizer = load_words(folder / TOKENIZER_FILE, system.config)
    engine = read_engine(folder, threads=torch.get_num_threads())
    names = Running(engine, agreed(facts)).fingerprints(told.fingerprints)
    return Exported(Parts(system, backbone, tokenizer, told.origin), names, engine)


def copied(engine: Engine, folder: Path) -> Path:
    """Copy the folder of an exported model to another place."""
    assert engine.folder is not None
    shutil.copytree(engine.folder, folder, dirs_exist_ok=True)
    return folder


def has_numbers(parts: Parts) -> bool:
    """Whether the weights are here, and not in an engine alone."""
    return not any(value.is_meta for value in parts.backbone.state_dict().values())


def _check_sizes(facts: EngineFacts, frames: int, embed: int, folder: Path) -> None:
    if (facts.num_frames, facts.feature_size) != (frames, embed):
        raise BadWeights(f"{folder / NAME} is of other sizes than its system: export it again")
