"""What a writer does with the lists: makes them, lets them grow by parts, makes them anew.

New moments go into a part of their own under the tree that there is. Once there are many parts, all
but the largest become one; once much was added or is gone, the tree is grown anew, so that each
moment is written again some few times while an index grows, and growing costs as much as was added.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tempme.index.lists.array_file import Unusable
from tempme.index.lists.calibrating import Nearest, noisy_moments
from tempme.index.lists.catalog import IN_MEMORY, Catalog
from tempme.index.lists.opened import (
    FOLDER,
    ListsFacts,
    OpenLists,
    open_lists,
    remove_lists,
    remove_parts,
    write_catalog,
)
from tempme.index.lists.spool import Spool
from tempme.index.lists.tree import Tree, grow, num_lists, sample_size
from tempme.index.lists.view import Fresh, ListsView, fresh, view_of
from tempme.index.moments import Gallery
from tempme.index.stores.store import Store

PARTS_BEFORE_JOINING = 8
# Of the rows that a tree was grown for, how many may be added, and how many of all may be gone.
MOST_ADDED, MOST_GONE = 1.0, 0.25
CONTENTS_AT_ONCE = 1024


@dataclass(frozen=True)
class ListsSource:
    """What lists are made from: a store, and all of its moments in pieces, each content whole."""

    store: Store
    pieces: Callable[[], Iterator[Gallery]]


def update_lists(folder: Path, source: ListsSource, *, width: int) -> None:
    """Bring the lists of an index to what its store holds. The caller holds the write lock.

    Failing to is no error: a search finds the lists old, or none, and is only slower.
    """
    with suppress(OSError):
        (folder / FOLDER).mkdir(exist_ok=True)
        remove_parts(folder, keep=_named(folder, width))
        _update(folder, source, width)


def _update(folder: Path, source: ListsSource, width: int) -> None:
    version = source.store.version()
    opened = _opened(folder, width)
    if opened is None:
        _make(folder, source, version, width)
        return
    try:
        if opened.facts.version == version:
            return
        now = fresh(source.store, opened)
        view = view_of(opened, now)
        if _is_outgrown(view, opened.facts):
            _make(folder, source, version, width)
        else:
            _grow(folder, opened, view, now, version, width)
    except Unusable:
        remove_lists(folder)
        _make(folder, source, version, width)
    finally:
        opened.close()


def _is_outgrown(view: ListsView, facts: ListsFacts) -> bool:
    is_large = view.num_moments > (1 + MOST_ADDED) * facts.grown_from
    return is_large or view.num_dead > MOST_GONE * max(1, view.num_moments)


def _make(folder: Path, source: ListsSource, version: str, width: int) -> None:
    """All lists anew."""
    (folder / FOLDER).mkdir(exist_ok=True)
    name, left_out = _new_name(), set[Path]()
    spool = Spool(folder / FOLDER, width=width)
    try:
        for gallery in source.pieces():
            spool.append(gallery)
            left_out.update(gallery.left_out)
        if not len(spool):
            remove_lists(folder)
            return
        sample = np.linspace(0, len(spool) - 1, sample_size(len(spool))).astype(np.int64)
        tree = grow(spool.rows(sample), num_lists(len(spool)))
        nearest, owner = Nearest(noisy_moments(spool)), spool.owner
        numbers, start = np.empty(len(spool), dtype=np.int32), 0
        for rows in spool.blocks():
            mine = slice(start, start + len(rows))
            numbers[mine] = tree.assign(rows)
            nearest.take(rows, numbers[mine], owner[mine])
            start = mine.stop
        spool.write(folder / FOLDER / name, tree, numbers, name=name)
        sizes = np.bincount(numbers, minlength=len(tree.centres))
        scanned, rows_in = nearest.depth(tree, sizes), len(spool)
        catalog = _catalog(source, spool)
    finally:
        spool.close()
    facts = ListsFacts(version, (name,), tuple(sorted(left_out)), rows_in, scanned)
    write_catalog(folder, facts, catalog, tree, width=width)


def _catalog(source: ListsSource, spool: Spool) -> Catalog:
    """The catalogue of what was spooled, which is one part."""
    from tempme.index.lists.catalog import catalog_of

    place = {digest: number for number, digest in enumerate(spool.contents)}
    rows = [row for row in source.store.videos() if row.status == "ok" and row.digest in place]
    catalog = catalog_of(rows, None, np.zeros(0, np.int64))
    places = [place[catalog.digest(content)] for content in range(len(catalog))]
    return replace(
        catalog,
        parts=np.zeros(len(catalog), dtype=np.int32),
        places=np.array(places, dtype=np.int32),
        checksums=np.array([spool.checksums[one] for one in places], dtype=np.uint32),
    )


def _grow(
    folder: Path, opened: OpenLists, view: ListsView, now: Fresh, version: str, width: int
) -> None:
    """What is new goes into a part of its own, or with all small parts into one."""
    catalog, names = now.catalog, list(opened.facts.parts)
    joined = np.zeros(len(catalog), dtype=bool)
    joined[view.in_memory] = True
    if len(names) >= PARTS_BEFORE_JOINING:
        largest = int(np.argmax([len(part) for part in opened.parts]))
        joined = catalog.parts != largest
        names = [names[largest]]
        catalog = replace(catalog, parts=np.where(joined, IN_MEMORY, 0).astype(np.int32))
    contents = np.flatnonzero(joined)
    if len(contents):
        name = _new_name()
        checksums = _write_part(folder / FOLDER / name, view, contents, opened.tree, name, width)
        catalog = _placed_in(catalog, contents, len(names), checksums)
        names.append(name)
    scanned = max(opened.facts.scanned, 1)
    facts = ListsFacts(version, tuple(names), now.left_out, opened.facts.grown_from, scanned)
    write_catalog(folder, facts, catalog, opened.tree, width=width)


def _write_part(
    path: Path, view: ListsView, contents: np.ndarray, tree: Tree, name: str, width: int
) -> list[int]:
    """A part of these contents; their checksums."""
    spool = Spool(path.parent, width=width)
    try:
        for start in range(0, len(contents), CONTENTS_AT_ONCE):
            spool.append(view.gallery(contents[start : start + CONTENTS_AT_ONCE]))
        lists = [tree.assign(rows) for rows in spool.blocks()]
        spool.write(path, tree, np.concatenate([np.zeros(0, np.int32), *lists]), name=name)
    finally:
        spool.close()
    return spool.checksums


def _placed_in(catalog: Catalog, contents: np.ndarray, part: int, checksums: list[int]) -> Catalog:
    parts, places, sums = catalog.parts.copy(), catalog.places.copy(), catalog.checksums.copy()
    parts[contents] = part
    places[contents] = np.arange(len(contents))
    sums[contents] = checksums
    return replace(catalog, parts=parts, places=places, checksums=sums)


def _opened(folder: Path, width: int) -> OpenLists | None:
    """The lists that are there; what is damaged is removed."""
    try:
        return open_lists(folder, width=width)
    except Unusable:
        remove_lists(folder)
        return None


def _named(folder: Path, width: int) -> tuple[str, ...]:
    opened = _opened(folder, width)
    if opened is None:
        return ()
    opened.close()
    return opened.facts.parts


def _new_name() -> str:
    return f"part-{secrets.token_hex(6)}"
