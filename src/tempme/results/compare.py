"""Anyone's runs side by side: found by folder or file, seeds together, as a table or numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tempme.errors import BadDataset, UnknownName
from tempme.results.accuracy import Summary, every_column, measured_on
from tempme.results.markdown import table, without_empty
from tempme.results.runs import Run, is_alike, read_run, summarize

RESULT = "result.json"
FORMATS = ("markdown", "csv", "json")


class Group(NamedTuple):
    """Runs of one experiment and its settings, and the folder of the first."""

    experiment: str
    folder: str
    runs: list[Run]


def read(paths: Sequence[Path]) -> dict[str, list[Run]]:
    """The runs that paths name, those of one experiment and its settings together, by name.

    A path is a result (JSON), the folder of a run, or a folder with some of either below it.
    Experiments of one name but other settings are told apart by their folders. BadDataset where a
    path holds none.
    """
    found: list[Group] = []
    for file in dict.fromkeys(file for path in paths for file in _files(path)):
        run = read_run(file)
        alike = (group for group in found if _belongs(run, group))
        group = next(alike, None)
        if group is None:
            found.append(Group(str(run["experiment"]), file.parent.name, [run]))
        else:
            group.runs.append(run)
    return _named(found)


def compared(groups: Mapping[str, Sequence[Run]]) -> dict[str, Summary]:
    """Name -> summary over seeds, in the order that was given."""
    return {name: summarize(runs) for name, runs in groups.items()}


def as_markdown(found: Mapping[str, Summary]) -> str:
    """A table of cost, accuracy and time, and where it was measured."""
    columns = every_column(found)
    rows = [[name, *(cell(one) for _, cell in columns)] for name, one in found.items()]
    head = ["experiment", *(name for name, _ in columns)]
    return f"{table(*without_empty(head, rows))}\n\n{measured_on(found)}"


def as_csv(found: Mapping[str, Summary]) -> str:
    """A row for each experiment: mean and spread of every number."""
    rows = [dict(_cells(name, one)) for name, one in found.items()]
    head = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, head, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def check_format(form: str) -> None:
    """UnknownName where there is no such format."""
    if form not in FORMATS:
        raise UnknownName.among("format", form, FORMATS)


def written(found: Mapping[str, Summary], form: str) -> str:
    """The comparison in one of `FORMATS`."""
    check_format(form)
    if form == "json":
        return json.dumps(found, indent=2, ensure_ascii=False)
    return as_csv(found) if form == "csv" else as_markdown(found)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if (path / RESULT).is_file():
        yield path / RESULT
        return
    below = sorted([*path.rglob(RESULT), *path.rglob("seed-*.json")]) if path.is_dir() else []
    if not below:
        raise BadDataset(
            f"{path} holds no result: give folders that `tempme train --out` wrote and that have "
            f"ended, or files of `tempme train --result`"
        )
    yield from below


def _belongs(run: Run, group: Group) -> bool:
    """Whether a run is one more seed of a group."""
    is_new = run["seed"] not in [other["seed"] for other in group.runs]
    return is_new and group.experiment == run["experiment"] and is_alike(group.runs[0], run)


def _named(found: Sequence[Group]) -> dict[str, list[Run]]:
    made: dict[str, list[Run]] = {}
    for group in found:
        several = [other.experiment for other in found].count(group.experiment) > 1
        own = f"{group.experiment} ({group.folder})" if several else group.experiment
        number = 1
        while (name := own if number == 1 else f"{own} {number}") in made:
            number += 1
        made[name] = group.runs
    return made


def _cells(name: str, one: Summary) -> Iterator[tuple[str, Any]]:
    yield "experiment", name
    yield "system", one["settings"]["system"]["name"]
    yield "seeds", " ".join(map(str, one["seeds"]))
    yield from one["cost"].items()
    for key in ("metrics", "training_seconds", "videos_per_second", "peak_memory_mb"):
        yield from _numbers(one.get(key), "" if key == "metrics" else key)


def _numbers(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return
    if value.keys() >= {"mean", "spread"}:
        yield name, value["mean"]
        yield f"{name}.spread", value["spread"]
        return
    for key, item in value.items():
        yield from _numbers(item, f"{name}.{key}" if name else str(key))
