"""The lists of an index as files: `lists/catalog`, and the tree and the parts that it names.

They are a copy of what the store holds: whoever finds them missing, old or not as we write them
goes without. The catalogue is replaced in one step after what it names is written, which is never
changed; so a writer that dies leaves the lists that were there before. A catalogue of format 1 has
the tree in itself.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.index.lists.array_file import ArrayFile, Kind, ReadArrays, Unusable, write_arrays
from tempme.index.lists.beyond import Beyond
from tempme.index.lists.calibrating import SHARES, Reach
from tempme.index.lists.catalog import KINDS, Catalog
from tempme.index.lists.part import ListsPart
from tempme.index.lists.tree import MOST_LISTS, Tree
from tempme.index.lock import NAME as LOCK
from tempme.index.stores.paths import path_to_text, text_to_path

FOLDER, CATALOG = "lists", "catalog"
FORMAT = 2
FORMATS = (1, 2)
# What format 1 looked at of what a filter admits.
OLD_PARTS = (0.25,) * len(SHARES)
MOST_PARTS = 64
# A writer may replace the catalogue, and remove parts, between two reads of a reader.
ATTEMPTS = 5


@dataclass(frozen=True)
class ListsFacts:
    """What the catalogue says beside its arrays.

    version: of the store when they were written. tree: the file that has it; "" of format 1.
    grown_from: rows that the tree was grown for. reach: how far a search looked for the recall
    that was measured then.
    """

    version: str
    tree: str
    parts: tuple[str, ...]
    left_out: tuple[Path, ...]
    grown_from: int
    reach: Reach


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
    file = ArrayFile(folder / CATALOG, lambda facts: {**KINDS, **_tree_within(facts, width)})
    file.close()
    facts, arrays = _facts(file.contents, width), file.contents.arrays
    tree = _read_tree(folder / facts.tree, width) if facts.tree else _tree_of(arrays)
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


def reach_of(folder: Path) -> tuple[float, float | None] | None:
    """The share of all moments that a search looks at, and the recall that was measured.

    None without lists that can be used; told from the table of the catalogue alone.
    """
    try:
        file = ArrayFile(folder / FOLDER / CATALOG, {})
        file.close()
        facts = _facts(file.contents, int(file.contents.facts["width"]))
    except (OSError, Unusable, KeyError, TypeError, ValueError):
        return None
    return min(1.0, facts.reach.rows / max(1, facts.grown_from)), facts.reach.recall


def _tree_within(facts: Mapping[str, Any], width: int) -> Mapping[str, Kind]:
    return _tree_kinds(width) if facts.get("format") == 1 else {}


def _tree_kinds(width: int) -> dict[str, Kind]:
    floats: Kind = ("<f4", (None, width))
    return {"cells": floats, "centres": floats, "first": ("<i8", (None,))}


def _read_tree(path: Path, width: int) -> Tree:
    file = ArrayFile(path, _tree_kinds(width))
    file.close()
    if file.contents.facts.get("name") != path.name:
        raise Unusable("it is another tree")
    return _tree_of(file.contents.arrays)


def write_tree(folder: Path, tree: Tree) -> str:
    """Write a tree as a file of its own; its name."""
    name = f"tree-{secrets.token_hex(6)}"
    arrays: dict[str, NDArray[Any]] = {"cells": tree.cells, "centres": tree.centres}
    write_arrays(folder / FOLDER / name, {"name": name}, {**arrays, "first": tree.first})
    return name


def _tree_of(arrays: Mapping[str, NDArray[Any]]) -> Tree:
    tree = Tree(arrays["cells"], arrays["centres"], arrays["first"])
    _check_tree(tree)
    return tree


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
        if facts["format"] not in FORMATS or facts["width"] != width:
            raise Unusable("it is of another format or width")
        tree = str(facts["tree"]) if facts["format"] > 1 else ""
        parts = tuple(str(name) for name in facts["parts"])
        if (
            len(parts) > MOST_PARTS
            or not all(map(is_part, parts))
            or not _is_tree(tree or "tree-0")
        ):
            raise Unusable("its parts have other names")
        return ListsFacts(
            version=str(facts["version"]),
            tree=tree,
            parts=parts,
            left_out=tuple(text_to_path(str(text)) for text in facts["left_out"]),
            grown_from=int(facts["grown_from"]),
            reach=_reach(facts),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(f"its facts are not as we write them: {error}") from error


def _reach(facts: Mapping[str, Any]) -> Reach:
    """ValueError where its numbers are none that we write."""
    rows = int(facts["scanned"])
    if facts["format"] == 1:
        return Reach(rows, OLD_PARTS, recall=None)
    parts, recall = tuple(map(float, facts["scanned_parts"])), float(facts["recall"])
    if len(parts) != len(SHARES) or not all(0 <= one <= 1 for one in (*parts, recall)):
        raise ValueError("it does not say how far to look")
    slope, spread, *most = map(float, facts["beyond"])
    if not (np.isfinite((slope, spread, *most)).all() and spread > 0 and len(most) == 2):
        raise ValueError("it does not say when to look further")
    return Reach(rows, parts, recall, Beyond(slope, spread, *most))


def is_part(name: str) -> bool:
    """Whether a file is called as our parts are: no name leads out of the folder."""
    return name.startswith("part-") and name.removeprefix("part-").isalnum() and name.isascii()


def _is_tree(name: str) -> bool:
    return name.startswith("tree-") and name.removeprefix("tree-").isalnum() and name.isascii()


def write_catalog(folder: Path, facts: ListsFacts, catalog: Catalog, *, width: int) -> None:
    """Replace the catalogue in one step, then remove the files that it does not name."""
    told: dict[str, Any] = {
        "format": FORMAT,
        "width": width,
        "version": facts.version,
        "tree": facts.tree,
        "parts": facts.parts,
        "left_out": [path_to_text(path) for path in facts.left_out],
        "grown_from": facts.grown_from,
        "scanned": facts.reach.rows,
        "scanned_parts": facts.reach.parts,
        "recall": facts.reach.recall,
        "beyond": None if facts.reach.beyond is None else astuple(facts.reach.beyond),
    }
    with replacing(folder / FOLDER / CATALOG) as draft:
        write_arrays(draft, told, catalog.arrays)
    remove_unnamed(folder, keep=(facts.tree, *facts.parts))


def remove_unnamed(folder: Path, *, keep: Sequence[str] = ()) -> None:
    """Remove parts and trees that nobody names; what is open elsewhere stays until it is not."""
    with suppress(OSError), os.scandir(folder / FOLDER) as entries:
        for entry in entries:
            if (is_part(entry.name) or _is_tree(entry.name)) and entry.name not in keep:
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
    remove_unnamed(folder)
    with suppress(OSError):
        (folder / FOLDER / LOCK).unlink(missing_ok=True)
        (folder / FOLDER).rmdir()
    return True
