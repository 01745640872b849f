"""A file of figures that is measured in parts: rows of one commit and one setting stay together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempme.results import runs as results

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Report:
    """The file, and what it holds: lists of rows by name, below what they have in common."""

    path: Path
    document: dict[str, Any]

    @classmethod
    def at(cls, path: Path, head: Mapping[str, Any], names: Sequence[str]) -> Report:
        """What the file has of this commit, machine and settings (`head`), else nothing."""
        whole = {**head, **results.environment()}
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        is_same = all(known.get(key) == value for key, value in whole.items())
        return cls(path, whole | {name: known.get(name, []) if is_same else [] for name in names})

    def add(self, name: str, key: Sequence[str], rows: Sequence[Row]) -> None:
        """Rows in the place of those that `key` names alike; printed, and written at once."""
        kept = {_named(row, key): row for row in [*self.document[name], *rows]}
        self.document[name] = list(kept.values())
        print(*rows, sep="\n", flush=True)
        results.write(self.document, self.path)


def _named(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[part] for part in key)
