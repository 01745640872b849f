"""A table of LanceDB kept in few files, at the cost of what is new and not of what is there.

LanceDB's own compaction joins all fragments of less than a million rows, so that each run would
write the whole table again. Here the fragments that `to_join` names are joined: an update that
changes nothing writes their rows into one new fragment, in one commit. Then what no reader needs
is removed: versions before the newest, and files that only those name.
"""

from __future__ import annotations

import re
import time
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
# Far longer than any write takes.
UNCOMMITTED_SECONDS = 24 * 3600.0
# Fragment, version that was read, and a random number.
DELETION_FILE = re.compile(r"([0-9]{1,20})-[0-9]{1,20}-[0-9]{1,20}\.[a-z]+")


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


def _deletions(path: Path) -> Mapping[int, Sequence[Path]]:
    """By fragment, the files that say which of its rows are gone, or that once did."""
    found: dict[int, list[Path]] = {}
    for file in (path / "_deletions").glob("*"):
        if named := DELETION_FILE.fullmatch(file.name):
            found.setdefault(int(named[1]), []).append(file)
    return found


def remove_old(path: Path, table: Any, joining: Joined) -> None:
    """Remove what only versions before the newest need of the table at `path`.

    Files go before the manifests that name them, so that what a killed run leaves is found again.
    What no manifest names was never committed, and goes once nobody can be about to.
    """
    newest, *older = sorted(path.glob("_versions/*.manifest"))
    if not all(map(_is_counted_down, (newest, *older))):
        return
    told, told_before = newest.read_bytes(), b"".join(one.read_bytes() for one in older)
    for fragment, marks in _deletions(path).items():
        _remove(_old_marks(marks, told, is_there=fragment in joining.old))
    files = [*path.glob("data/*.lance"), *path.glob("_transactions/*.txn")]
    named = [file for file in files if file.name.encode() in told]
    # A manifest of another kind, which does not spell names out, takes nothing with it.
    if sum(file.suffix == ".lance" for file in named) < _num_fragments(table):
        return
    _remove(
        file
        for file in files
        if file not in named and (file.name.encode() in told_before or _is_left_over(file))
    )
    _remove(reversed(older))


def _old_marks(marks: Sequence[Path], told: bytes, *, is_there: bool) -> Sequence[Path]:
    """Of a fragment's deletion files, those that the newest manifest, `told`, does not name.

    Not the latest by name is the one that holds: a run that was killed, or that the disk had no
    room for, leaves one that was never committed. Where none is named, the fragment has to be gone.
    """
    named = [mark for mark in marks if _told_as(mark) in told]
    return [mark for mark in marks if mark not in named] if named or not is_there else []


def _told_as(mark: Path) -> bytes:
    """How a manifest names a deletion file: fields 2 and 3 of a message, its version and number.

    https://github.com/lancedb/lance/blob/main/protos/table.proto, DeletionFile.
    """
    _, version, number = map(int, mark.stem.split("-"))
    return b"\x10" + _varint(version) + b"\x18" + _varint(number)


def _varint(number: int) -> bytes:
    """A number as Protocol Buffers write it: seven bits a byte, the lowest first."""
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _is_left_over(file: Path) -> bool:
    try:
        return file.stat().st_mtime < time.time() - UNCOMMITTED_SECONDS
    except OSError:
        return False


def _is_counted_down(manifest: Path) -> bool:
    return manifest.stem.isdecimal() and len(manifest.stem) == MANIFEST_DIGITS
