"""The lists of an index as files: `lists/catalog` and the parts that it names.

They are a copy of what the store holds: whoever finds them missing, old or not as we write them
goes without. The catalogue is replaced in one step after the parts that it names are written, and a
part is never changed; so a writer that dies leaves the lists that were there before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.index.lists.array_file import ArrayFile, Kind, ReadArrays, Unusable, write_arrays
from tempme.index.lists.catalog import KINDS, Catalog
from tempme.index.lists.part import ListsPart
from tempme.index.lists.tree import MOST_LISTS, Tree
from tempme.index.stores.paths import path_to_text, text_to_path

FOLDER, CATALOG = "lists", "catalog"
FORMAT = 1
MOST_PARTS = 64
# A writer may replace the catalogue, and remove parts, between two reads of a reader.
ATTEMPTS = 5


@dataclass(frozen=True)
class ListsFacts:
    """What the catalogue says beside its arrays.

    version: of the store when they were written. grown_from: rows that the tree was grown for.
    scanned: rows that a search looks at for the recall that was measured.
    """

    version: str
    parts: tuple[str, ...]
    left_out: tuple[Path, ...]
    grown_from: int
    scanned: int


@dataclass(frozen=True, eq=False)
class OpenLists:
    """Lists that are open: which contents they have, where, and by which tree."""

    facts: ListsFacts
    catalog: Catalog
    tree: Tree
    parts: tuple[ListsPart, ...]
    stamp: str

    def close(self) -> None:
        """Give the files back."""
        for part in self.parts:
            part.close()

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many moments each content of the catalogue has."""
        counts = np.zeros(len(self.catalog), dtype=np.int64)
        for number, part in enumerate(self.parts):
            mine = self.catalog.parts == number
            counts[mine] = np.diff(part.first)[self.catalog.places[mine]]
        return counts


def stamp_of(folder: Path) -> str:
    """A word for the catalogue as a file: another one when it is replaced; "" where none is."""
    try:
        about = (folder / FOLDER / CATALOG).stat()
    except OSError:
        return ""
    return f"{about.st_ino:x}-{about.st_mtime_ns:x}-{about.st_size:x}"


def has_lists(folder: Path) -> bool:
    """Whether an index folder has lists, whatever they are worth."""
    return bool(stamp_of(folder))


def open_lists(folder: Path, *, width: int) -> OpenLists | None:
    """The lists in an index folder; None without them. Unusable where they are damaged."""
    for attempt in range(ATTEMPTS):
        stamp = stamp_of(folder)
        if not stamp:
            return None
        try:
            return _open(folder / FOLDER, stamp, width)
        except OSError as error:
            if attempt + 1 == ATTEMPTS or stamp_of(folder) == stamp:
                raise Unusable(error.strerror or str(error)) from error
        except Unusable:
            if attempt + 1 == ATTEMPTS or stamp_of(folder) == stamp:
                raise
    return None


def _open(folder: Path, stamp: str, width: int) -> OpenLists:
    file = ArrayFile(folder / CATALOG, {**KINDS, **_tree_kinds(width)})
    file.close()
    facts, arrays = _facts(file.contents, width), file.contents.arrays
    tree = Tree(arrays["cells"], arrays["centres"], arrays["first"])
    _check_tree(tree)
    catalog = Catalog(**{name: arrays[name] for name in KINDS})
    parts: list[ListsPart] = []
    try:
        for name in facts.parts:
            lists = len(tree.centres)
            parts.append(ListsPart(folder / name, name=name, lists=lists, width=width))
        catalog.check([len(part.first) - 1 for part in parts])
    except BaseException:
        for part in parts:
            part.close()
        raise
    return OpenLists(facts, catalog, tree, tuple(parts), stamp)


def _tree_kinds(width: int) -> dict[str, Kind]:
    floats: Kind = ("<f4", (None, width))
    return {"cells": floats, "centres": floats, "first": ("<i8", (None,))}


def _check_tree(tree: Tree) -> None:
    first = tree.first
    is_sound = (
        1 <= len(tree.cells) == len(first) - 1
        and len(tree.centres) <= 2 * MOST_LISTS
        and first[0] == 0
        and first[-1] == len(tree.centres)
        and bool((np.diff(first) > 0).all())
        and bool(np.isfinite(tree.cells).all())
        and bool(np.isfinite(tree.centres).all())
    )
    if not is_sound:
        raise Unusable("its centres are not as we write them")


def _facts(contents: ReadArrays, width: int) -> ListsFacts:
    facts = contents.facts
    try:
        if (facts["format"], facts["width"]) != (FORMAT, width):
            raise Unusable("it is of another format or width")
        parts = tuple(str(name) for name in facts["parts"])
        if len(parts) > MOST_PARTS or not all(is_part(name) for name in parts):
            raise Unusable("its parts have other names")
        return ListsFacts(
            version=str(facts["version"]),
            parts=parts,
            left_out=tuple(text_to_path(str(text)) for text in facts["left_out"]),
            grown_from=int(facts["grown_from"]),
            scanned=int(facts["scanned"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(f"its facts are not as we write them: {error}") from error


def is_part(name: str) -> bool:
    """Whether a file is called as our parts are: no name leads out of the folder."""
    return name.startswith("part-") and name.removeprefix("part-").isalnum() and name.isascii()


def write_catalog(
    folder: Path, facts: ListsFacts, catalog: Catalog, tree: Tree, *, width: int
) -> None:
    """Replace the catalogue in one step, then remove the parts that it does not name."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "width": width,
        "version": facts.version,
        "parts": facts.parts,
        "left_out": [path_to_text(path) for path in facts.left_out],
        "grown_from": facts.grown_from,
        "scanned": facts.scanned,
    }
    arrays = {**catalog.arrays, "cells": tree.cells, "centres": tree.centres, "first": tree.first}
    with replacing(folder / FOLDER / CATALOG) as draft:
        write_arrays(draft, told, arrays)
    remove_parts(folder, keep=facts.parts)


def remove_parts(folder: Path, *, keep: Sequence[str] = ()) -> None:
    """Remove the parts that nobody names any more; what is open elsewhere stays until it is not."""
    with suppress(OSError), os.scandir(folder / FOLDER) as entries:
        for entry in entries:
            if is_part(entry.name) and entry.name not in keep:
                with suppress(OSError):
                    Path(entry.path).unlink()


def remove_lists(folder: Path, *, stamp: str | None = None) -> bool:
    """Remove the lists, or those of this `stamp` alone; whether they are gone."""
    if stamp is not None and stamp_of(folder) != stamp:
        return False
    try:
        (folder / FOLDER / CATALOG).unlink(missing_ok=True)
    except OSError:
        return False
    remove_parts(folder)
    with suppress(OSError):
        (folder / FOLDER).rmdir()
    return True
