"""Which run a folder holds: what decides what is learnt, however it is spelled.

Where videos lie, how many processes read them, how long a run is, how often it is saved and what is
judged at its end may change between two starts of one run; what it learns from, and how, may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomli_w

from tempme.atomic import replacing
from tempme.errors import BadSetting, TempmeError
from tempme.experiments.settings import Experiment
from tempme.results.runs import environment, write
from tempme.retriever.names import SYSTEM
from tempme.training import BEST, CHECKPOINT

SETTINGS, DATA, RESULT, RETRIEVER = "experiment.toml", "data.json", "result.json", "retriever"
# Of an experiment, what may change: the rest of it is what is learnt, and how.
_FREE = (
    "data.annotations",
    "data.videos",
    "data.workers",
    "data.worker_memory_mb",
    "data.on_bad",
    "data.test",
    "evaluation.gallery",
    "recipe.steps",
    "recipe.epochs",
    "recipe.save_every",
    "recipe.validate_every",
    "recipe.patience",
    "recipe.loggers",
    "recipe.micro_batch",
    "recipe.checkpoint_layers",
    "recipe.keep_freed_memory",
)
_LATER = ("system.max_words",)  # which files of earlier versions do not have
_PATHS = ("system.weights", "system.continue_from")
_SEED = re.compile(r"^# .*, seed (-?\d+)$", re.MULTILINE)


def note(experiment: Experiment, seed: int, facts: Mapping[str, Any], folder: Path) -> None:
    """Write what the run is before it begins: settings as they were resolved, data, machine.

    A folder that holds another run is refused: the two would be mixed, or the other one lost.
    """
    text = f"# {experiment.name}, seed {seed}\n" + tomli_w.dumps(tables(experiment))
    try:
        _check_free(experiment, seed, facts, folder)
        with replacing(folder / SETTINGS) as draft:
            draft.write_text(text, "utf-8")
        write(environment(), folder / "environment.json")
        write(dict(facts), folder / DATA)
    except OSError as reason:
        raise BadSetting(f"cannot write to {folder}: {reason.strerror or reason}") from reason


def tables(experiment: Experiment) -> dict[str, Any]:
    """The tables of an experiment file; paths in it hold wherever it is read from."""
    found = {name: table for name, table in asdict(experiment).items() if name != "name"}
    for key in (*_PATHS, "data.annotations", "data.videos"):
        table, name = key.split(".")
        if found[table].get(name) is not None:
            found[table][name] = _spelled_out(found[table][name])
    return _without_none(found)


def _check_free(experiment: Experiment, seed: int, facts: Mapping[str, Any], folder: Path) -> None:
    """BadSetting where something learnt lies in the folder that is not of this run."""
    learnt = (CHECKPOINT, BEST, RESULT, f"{RETRIEVER}/{SYSTEM}")
    there = [name for name in learnt if (folder / name).exists()]
    if not there:
        return
    elsewhere = "give another folder, or remove this one"
    if not (folder / SETTINGS).exists():
        raise BadSetting(
            f"{folder} holds {there[0]}, but no {SETTINGS} that says of what: {elsewhere}"
        )
    differ = _differences(experiment, seed, facts, folder)
    if differ:
        raise BadSetting(f"{folder} holds a run of other settings ({differ}): {elsewhere}")
    if CHECKPOINT not in there:
        raise BadSetting(
            f"{folder} holds {there[0]} of a run that cannot go on without its {CHECKPOINT}, and "
            f"would be lost in a new one: {elsewhere}"
        )


def _differences(experiment: Experiment, seed: int, facts: Mapping[str, Any], folder: Path) -> str:
    """In what the run of a folder differs from this one, for a person."""
    text = (folder / SETTINGS).read_text("utf-8")
    try:
        before = Experiment.read(folder / SETTINGS)
    except TempmeError as reason:
        return f"which this version cannot read: {reason}"
    found = _SEED.search(text)
    one = dict(_identity(before, int(found[1]) if found else seed))
    other = dict(_identity(experiment, seed))
    if experiment.evaluation.select == "last":  # which every run can tell
        one.pop("evaluation.select"), other.pop("evaluation.select")
    for key in _LATER:
        if key not in one:
            other.pop(key, None)
    differ = [
        f"{key} is {one.get(key)!r} there, {other.get(key)!r} here"
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key)
    ]
    train = getattr(experiment.data, "train", None)
    hashes = [_hash(_read(folder / DATA), train), _hash(facts, train)]
    if None not in hashes and hashes[0] != hashes[1]:
        differ.append(f"other captions or videos are in the split {train}")
    return "; ".join(differ)


def _identity(experiment: Experiment, seed: int) -> Iterator[tuple[str, Any]]:
    yield "seed", seed
    for name, table in tables(experiment).items():
        for key, value in _leaves(table, name):
            if key not in _FREE:
                yield key, value


def _hash(facts: Mapping[str, Any], split: str | None) -> str | None:
    known = facts.get("splits", {}).get(split)
    return None if known is None else str(known["hash"])


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # a run that was cut off early, or of an earlier version
        return {}
    return document if isinstance(document, Mapping) else {}


def _spelled_out(value: str) -> str:
    """A path that exists, in its one full spelling; a name as it is."""
    return str(Path(value).resolve()) if Path(value).exists() else value


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, list(value) if isinstance(value, tuple) else value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{name}.{key}")


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is None is left out. Its keys are strings."""
    return {
        str(key): _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
