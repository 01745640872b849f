"""The folder of an engine: its functions, and `engine.json`, which says what they are.

The same for what is kept for the next start and for what `tempme export` writes. Every file has a
checksum, so that what is damaged is known before it runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tempme.atomic import replacing
from tempme.engines.choice import OPENVINO
from tempme.engines.engine import Engine
from tempme.engines.graphs import Graphs
from tempme.engines.runtimes import SUFFIXES, open_function
from tempme.engines.writers import write_function
from tempme.errors import BadWeights
from tempme.settings import typed
from tempme.untrusted import MEBIBYTE, open_regular, read_json

NAME, FORMAT = "engine.json", 1
FUNCTIONS = ("frames", "windows", "texts")


@dataclass(frozen=True)
class EngineFacts:
    """What `engine.json` says beside its files.

    engine, precision: what computes. num_frames, num_words: the fixed sizes. about: the model, in
    words of whoever wrote it.
    """

    engine: str
    precision: str
    num_frames: int
    num_words: int
    feature_size: int
    about: Mapping[str, Any]


def write_engine(folder: Path, graphs: Graphs, facts: EngineFacts) -> tuple[str, ...]:
    """Write the functions, then `engine.json`; the names of the files. MissingExtra, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = SUFFIXES[facts.engine]
    for name, example in graphs.named().items():
        write_function(facts.engine, example, folder / f"{name}{suffix}", facts.precision)
    files = [f"{name}{suffix}" for name in graphs.named()]
    every = [f for one in files for f in _with_data(facts.engine, one)]
    write_facts(folder, facts, every)
    return (*every, NAME)


def write_facts(folder: Path, facts: EngineFacts, files: list[str]) -> None:
    """`engine.json` of files that are there."""
    sums = {name: _digest(folder / name) for name in files}
    document = {"format": FORMAT, "files": sums, **asdict(facts)}
    with replacing(folder / NAME) as draft:
        draft.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def is_engine(folder: Path) -> bool:
    """Whether a folder is that of an engine, as far as its name of files tells."""
    return (folder / NAME).is_file()


def read_facts(folder: Path) -> tuple[EngineFacts, dict[str, str]]:
    """What a folder says, and the checksums of its files; BadWeights where that is damaged."""
    try:
        table = read_json(folder / NAME)
        if table.pop("format", None) != FORMAT:
            raise BadWeights(f"{folder / NAME} has another format than {FORMAT}: export it again")
        files = table.pop("files")
        return typed(EngineFacts, table, str(folder / NAME)), {
            str(k): str(v) for k, v in files.items()
        }
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as reason:
        raise BadWeights(f"{folder} is not the folder of an engine: {reason}") from reason


def read_engine(folder: Path, *, threads: int | None = None) -> Engine:
    """The engine in a folder; BadWeights where a file is missing or not what was written."""
    facts, files = read_facts(folder)
    functions = {}
    for name in _checked(folder, facts, files):
        path = folder / f"{name}{SUFFIXES[facts.engine]}"
        functions[name] = open_function(facts.engine, path, facts.precision, threads=threads)
    return Engine(
        facts.engine,
        facts.precision,
        functions,
        facts.num_frames,
        facts.num_words,
        facts.feature_size,
        folder,
    )


def _checked(folder: Path, facts: EngineFacts, files: Mapping[str, str]) -> Iterator[str]:
    """The functions that there are, once all files are what was written."""
    suffix = SUFFIXES.get(facts.engine)
    if suffix is None:
        raise BadWeights(f"{folder / NAME} is of the engine {facts.engine!r}, which is not known")
    known = {f for name in FUNCTIONS for f in _with_data(facts.engine, f"{name}{suffix}")}
    needed = {f for name in FUNCTIONS[1:] for f in _with_data(facts.engine, f"{name}{suffix}")}
    if not needed <= files.keys() <= known:
        raise BadWeights(f"{folder / NAME} names {', '.join(files)}; it has to name {needed}")
    for name, digest in files.items():
        found = ""
        with suppress(OSError):
            found = _digest(folder / name)
        if found != digest:
            raise BadWeights(
                f"{folder / name} is missing or not what was written: export the model again"
            )
    return (name for name in FUNCTIONS if f"{name}{suffix}" in files)


def _with_data(engine: str, file: str) -> tuple[str, ...]:
    """The file, and the one with its numbers where an engine has two."""
    return (file, f"{Path(file).stem}.bin") if engine == OPENVINO else (file,)


def _digest(path: Path) -> str:
    with open_regular(path, follow=True) as file:
        digest = hashlib.sha256()
        while block := file.read(MEBIBYTE):
            digest.update(block)
        return digest.hexdigest()
