"""A model on another engine than PyTorch: made once, kept, and held against fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from tempme.engines import kept
from tempme.engines.agreement import EXACT, LIMIT, EngineAgreement, named
from tempme.engines.choice import AUTO, TORCH, EngineChoice, faster_ones
from tempme.engines.engine import Engine
from tempme.engines.extras import need
from tempme.engines.folder import (
    NAME,
    EngineFacts,
    read_engine,
    read_facts,
    write_engine,
    write_facts,
)
from tempme.engines.graphs import Example, Graphs, graphs_of
from tempme.engines.probing import Probe, measured
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.parts import Parts
from tempme.settings import typed

EXACT_PRECISION = "fp32"
AGREES = "agreement"


@dataclass(frozen=True, eq=False)
class Running:
    """An engine of a model, and how near it is to PyTorch in fp32."""

    engine: Engine
    agreement: EngineAgreement

    def fingerprints(self, plain: tuple[str, str]) -> tuple[str, str]:
        """Those of the model, as they are of features of this engine."""
        own = named(plain[0], self.engine.name, self.engine.precision, self.agreement)
        return own, plain[1] if own == plain[0] else ""


class Runs(Protocol):
    """What of a retriever tells what it may run on."""

    @property
    def fingerprint(self) -> str:
        """A name of system and weights."""
        ...

    engine: Engine | None


def chosen(model: Runs, choice: EngineChoice, *, on_cpu: bool = True) -> EngineChoice | None:
    """The choice with an engine named: a faster one that is kept and agrees, else PyTorch.

    Others compute `on_cpu`, and are no faster where the model is on a GPU.

    None is made for a choice that was left open: that takes as long as encoding many videos. None
    is also the answer for a model that runs on the engine already; BadSetting where it runs on
    another one.
    """
    own = model.engine
    if own is not None:
        if choice.engine in (AUTO, own.name) and choice.precision in (AUTO, own.precision):
            return None
        raise BadSetting(
            f"this model runs on the engine {own.name} in {own.precision}: ask the one that it was "
            f"made of for another engine or precision"
        )
    if not choice.is_open:
        return choice.settled
    for faster in faster_ones() if on_cpu else ():
        facts = kept.kept_facts(model.fingerprint, faster)
        if facts is not None and agreed(facts).within(LIMIT):
            return faster
    return EngineChoice(TORCH)


def running(parts: Parts, fingerprint: str, choice: EngineChoice) -> Running:
    """The engine of a model, made where none is kept. MissingExtra; BadSetting."""
    need(choice.engine)
    folder = kept.kept_folder(fingerprint, choice)
    if (found := _kept(folder)) is not None:
        return found
    kept.keep(fingerprint, choice, lambda draft: write_running(parts, draft, choice))
    if (found := _kept(folder)) is not None:  # ours, or that of a process that was quicker
        return found
    with kept.for_one_run() as name:
        write_running(parts, Path(name), choice)
        return _opened(Path(name))


def write_running(
    parts: Parts, folder: Path, choice: EngineChoice, *, about: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Write the folder of an engine, with how near it is to fp32; the names of its files.

    BadSetting where the model cannot be computed by an engine.
    """
    system = parts.system
    words = min(system.max_words, parts.tokenizer.context)
    graphs = graphs_of(system, parts.backbone, words=words)
    towers = {name: shapes(example) for name, example in graphs.named().items()}
    facts = EngineFacts(
        engine=choice.engine,
        precision=choice.precision,
        num_frames=system.frames,
        num_words=words,
        feature_size=system.config.embed,
        about={**(about or {}), "towers": towers},
    )
    files = write_engine(folder, graphs, facts)
    near = _near(graphs, folder, parts, choice)
    told = replace(facts, about={**facts.about, AGREES: asdict(near)})
    write_facts(folder, told, [name for name in files if name != NAME])
    return files


def shapes(example: Example) -> dict[str, dict[str, list[int]]]:
    """The names of what a function takes and gives, and their shapes."""
    made = example.function(*example.arrays)
    outputs = made if isinstance(made, tuple) else (made,)
    return {
        "inputs": _shapes(example.inputs, example.arrays),
        "outputs": _shapes(example.outputs, outputs),
    }


def agreed(facts: EngineFacts) -> EngineAgreement:
    """How near the engine of a folder is; BadWeights where it does not say."""
    return typed(EngineAgreement, facts.about.get(AGREES), f"{AGREES} of an engine")


def _shapes(names: Sequence[str], arrays: Sequence[Tensor]) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in zip(names, arrays, strict=True)}


def _near(graphs: Graphs, folder: Path, parts: Parts, choice: EngineChoice) -> EngineAgreement:
    """Exact in fp32, which tests hold it to; else measured."""
    if choice.precision == EXACT_PRECISION:
        return EXACT
    engine = read_engine(folder, threads=torch.get_num_threads())
    return measured(graphs, engine, Probe.of(parts.system, parts.tokenizer))


def _kept(folder: Path) -> Running | None:
    """The engine that is kept; None where there is none, or it is damaged."""
    try:
        return _opened(folder)
    except BadWeights:
        return None


def _opened(folder: Path) -> Running:
    engine = read_engine(folder, threads=torch.get_num_threads())
    return Running(engine, agreed(read_facts(folder)[0]))
