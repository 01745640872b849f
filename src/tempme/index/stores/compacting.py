"""A table of LanceDB kept in few files, at the cost of what is new and not of what is there.

LanceDB's own compaction joins all fragments of less than a million rows, so that each run would
write the whole table again. Here the fragments that `to_join` names are joined: an update that
changes nothing writes their rows into one new fragment, in one commit. Then what no reader needs
is removed: versions before the newest, and files that only those name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tempme.index.stores.segments import to_join

MOST_FRAGMENTS = 8
# Of the rows of a fragment, how many may be gone before it is written again.
MOST_DELETED = 0.1
# An address is the number of the fragment and the place in it.
PLACE_BITS = 32
MANIFEST_DIGITS = 20


@dataclass(frozen=True)
class Joined:
    """What became of a table: `old` are the fragments that it had before and has still.

    Where rows do not say which fragment they are in, or what an earlier version had indexed is
    still there, nothing is done, and it is not `is_possible`.
    """

    old: frozenset[int] = frozenset()
    is_possible: bool = True


def join_fragments(path: Path, table: Any, column: str) -> Joined:
    """Join what is due of the table at `path`, which has this `column`."""
    if any((path / "_indices").glob("*")):
        return Joined(is_possible=False)
    marks, lengths = _deletions(path), table.stats()["fragment_stats"]["lengths"]
    count = _num_fragments(table)
    if count <= MOST_FRAGMENTS and not marks:
        return Joined()
    rows = table.search().select(["_rowid"]).with_row_id(True).to_arrow()["_rowid"].to_numpy()
    numbers, present = np.unique(rows >> PLACE_BITS, return_counts=True)
    if len(numbers) != count:
        return Joined(is_possible=False)
    last = np.zeros(len(numbers), dtype=np.uint64)
    np.maximum.at(last, np.searchsorted(numbers, rows >> PLACE_BITS), rows & (2**PLACE_BITS - 1))
    is_due = 1 - present / (last + 1) > MOST_DELETED
    # Rows that are gone from the end of a fragment show only in the number of all.
    if lengths["mean"] * count - int(last.sum()) - len(last) > MOST_DELETED * len(rows):
        is_due |= np.isin(numbers, list(marks))
    is_due[to_join(present.tolist(), most=MOST_FRAGMENTS)] = True
    if is_due.any():
        where = " OR ".join(_within(number) for number in numbers[is_due].tolist())
        table.update(where=where, values_sql={column: column})
    return Joined(frozenset(numbers[~is_due].tolist()))


def _num_fragments(table: Any) -> int:
    return int(table.stats()["fragment_stats"]["num_fragments"])


def _within(fragment: int) -> str:
    first, end = fragment << PLACE_BITS, (fragment + 1) << PLACE_BITS
    return f"(_rowid >= {first} AND _rowid < {end})"


def _deletions(path: Path) -> Mapping[int, Sequence[tuple[int, Path]]]:
    """By fragment, the files that say which of its rows are gone, each with its version."""
    found: dict[int, list[tuple[int, Path]]] = {}
    for file in (path / "_deletions").glob("*"):
        fragment, _, rest = file.name.partition("-")
        version = rest.partition("-")[0]
        if fragment.isdecimal() and version.isdecimal():
            found.setdefault(int(fragment), []).append((int(version), file))
    return found


def remove_old(path: Path, table: Any, joining: Joined) -> None:
    """Remove what only versions before the newest need of the table at `path`.

    Files go before the manifests that name them, so that what a killed run leaves is found again;
    what no manifest names is left to LanceDB, which removes it once it is old.
    """
    for fragment, marks in _deletions(path).items():
        kept = max(marks)[0] if fragment in joining.old else None
        _remove(file for version, file in marks if version != kept)
    newest, *older = sorted(path.glob("_versions/*.manifest"))
    if not all(map(_is_counted_down, (newest, *older))):
        return
    told, told_before = newest.read_bytes(), b"".join(one.read_bytes() for one in older)
    files = [*path.glob("data/*.lance"), *path.glob("_transactions/*.txn")]
    named = [file for file in files if file.name.encode() in told]
    # A manifest of another kind, which does not spell names out, takes nothing with it.
    if sum(file.suffix == ".lance" for file in named) < _num_fragments(table):
        return
    _remove(file for file in files if file not in named and file.name.encode() in told_before)
    _remove(reversed(older))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _is_counted_down(manifest: Path) -> bool:
    return manifest.stem.isdecimal() and len(manifest.stem) == MANIFEST_DIGITS
