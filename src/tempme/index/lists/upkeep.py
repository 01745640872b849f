"""What a writer does with the lists: makes them, lets them grow by parts, makes them anew.

New moments go into a part of their own under the tree that there is. Once there are many parts, the
small ones become one; once much was added or is gone, the tree is grown anew, so that each moment
is written again some few times while an index grows, and growing costs as much as was added.
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadIndex, IndexBusy
from tempme.index.lists.array_file import Unusable
from tempme.index.lists.beyond import fitted
from tempme.index.lists.calibrating import FEWEST_ROWS, Nearest, Reach, made_queries
from tempme.index.lists.catalog import IN_MEMORY, Catalog
from tempme.index.lists.half import products
from tempme.index.lists.opened import (
    FOLDER,
    ListsFacts,
    OpenLists,
    open_lists,
    remove_lists,
    remove_unnamed,
    write_catalog,
    write_tree,
)
from tempme.index.lists.spool import Spool
from tempme.index.lists.tree import MOST_LISTS, Tree, grow, num_lists, sample_size
from tempme.index.lists.view import Fresh, ListsView, fresh, view_of
from tempme.index.lock import writing
from tempme.index.moments import Gallery
from tempme.index.stores.segments import to_join
from tempme.index.stores.store import Store

MOST_PARTS = 8
# Of the rows that a tree was grown for, how many may be added, and how many of all may be gone.
MOST_ADDED, MOST_GONE = 1.0, 0.25
CONTENTS_AT_ONCE = 1024
ROWS_FITTED = 4096
# Of an index elsewhere, more than this is not fetched: 2.4 GB where a row has 512 numbers.
MOST_FETCHED = 2_000_000
# Of a row: each number in half precision; owner, place, norm and span. While lists are made, what
# they are made from lies beside them.
BYTES_PER_NUMBER, BYTES_PER_ROW, COPIES_WHILE_MADE = 2, 28, 2
# Finer lists are tried where more than this share of all rows has to be looked at, so many times as
# many, with so many rows in each at least.
FAR, FINER, FEWEST_PER_LIST = 0.05, 4, 16


@dataclass(frozen=True)
class ListsSource:
    """What lists are made from: a store, and all of its moments in pieces, each content whole."""

    store: Store
    pieces: Callable[[], Iterator[Gallery]]


def update_lists(folder: Path, source: ListsSource, *, width: int) -> None:
    """Bring the lists of an index to what its store holds; while another process does, nothing.

    Failing to is no error: a search finds the lists old, or none, and is only slower.
    """
    with ExitStack() as held:
        try:
            (folder / FOLDER).mkdir(exist_ok=True)
            # Not the lock of the index: lists of one that is elsewhere keep no run waiting.
            held.enter_context(writing(folder / FOLDER, what="the search lists in"))
        except IndexBusy:
            return
        except (OSError, BadIndex) as error:
            _say_unwritable(folder, error)
            return
        try:
            _bring_up(folder, source, width)
        except OSError as error:
            _say_unwritable(folder, error)


def list_elsewhere(folder: Path, source: ListsSource, *, width: int) -> None:
    """`update_lists` of an index elsewhere, all of which is fetched: none of one that is too large.

    Then searches go by the index that the store has itself.
    """
    if source.store.num_moments() > MOST_FETCHED:
        remove_lists(folder)
        return
    update_lists(folder, source, width=width)


def _bring_up(folder: Path, source: ListsSource, width: int) -> None:
    opened = _opened(folder, width)
    named = () if opened is None else (opened.facts.tree, *opened.facts.parts)
    remove_unnamed(folder, keep=named)
    try:
        _update(folder, opened, source, width)
    except OSError:
        remove_unnamed(folder, keep=named)
        raise


def _say_unwritable(folder: Path, error: OSError | BadIndex) -> None:
    logging.getLogger("tempme").warning(
        "the search lists of the index %s cannot be written (%s); searches go on without what "
        "they lack, and are slower",
        folder,
        (getattr(error, "strerror", None) or str(error)).lower(),
    )


def _update(folder: Path, opened: OpenLists | None, source: ListsSource, width: int) -> None:
    version = source.store.version()
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


def _check_room(folder: Path, source: ListsSource, width: int) -> None:
    """OSError where the disk has no room for all lists and what they are made from."""
    each = BYTES_PER_NUMBER * width + BYTES_PER_ROW
    needed = COPIES_WHILE_MADE * each * source.store.num_moments()
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, f"no room for {needed / 1e6:.0f} MB")


def _is_outgrown(view: ListsView, facts: ListsFacts) -> bool:
    if not facts.tree:  # of format 1, which did not measure how far to look beyond a bound
        return True
    is_large = view.num_moments > (1 + MOST_ADDED) * facts.grown_from
    return is_large or view.num_dead > MOST_GONE * max(1, view.num_moments)


def _make(folder: Path, source: ListsSource, version: str, width: int) -> None:
    """All lists anew."""
    (folder / FOLDER).mkdir(exist_ok=True)
    _check_room(folder, source, width)
    name, left_out = _new_name(), set[Path]()
    spool = Spool(folder / FOLDER, width=width)
    try:
        for gallery in source.pieces():
            spool.append(gallery)
            left_out.update(gallery.left_out)
        if not len(spool):
            remove_lists(folder)
            return
        tree, numbers, reach = _divided(spool)
        spool.write(folder / FOLDER / name, tree, numbers, name=name)
        rows_in = len(spool)
        catalog = _catalog(source, spool)
    finally:
        spool.close()
    named = write_tree(folder, tree)
    facts = ListsFacts(version, named, (name,), tuple(sorted(left_out)), rows_in, reach)
    write_catalog(folder, facts, catalog, width=width)


def _divided(spool: Spool) -> tuple[Tree, NDArray[np.int32], Reach]:
    """A tree for what was spooled, the list of each row, and how far a search has to look.

    Where it is far, finer lists are tried: of a topic that has a list for itself, less is looked
    at, though more lists are compared with a query.
    """
    nearest, wanted = Nearest(made_queries(spool), spool.owner), num_lists(len(spool))
    for rows in spool.blocks():
        nearest.take(rows)
    tree, numbers = _tree_of(spool, wanted)
    reach = nearest.reach(tree, numbers, _fit(spool, nearest.queries, tree, numbers))
    finer = min(FINER * wanted, MOST_LISTS, len(spool) // FEWEST_PER_LIST)
    if reach.rows > max(FEWEST_ROWS, FAR * len(spool)) and finer > wanted:
        other, others = _tree_of(spool, finer)
        better = nearest.reach(other, others, _fit(spool, nearest.queries, other, others))
        if better.rows + finer < reach.rows + wanted:
            return other, others, better
    return tree, numbers, reach


def _fit(
    spool: Spool, queries: NDArray[np.float32], tree: Tree, numbers: NDArray[np.int32]
) -> tuple[float, float]:
    """Slope and spread of the scores of some rows, by the centres of their lists."""
    chosen = np.linspace(0, len(spool) - 1, min(len(spool), ROWS_FITTED)).astype(np.int64)
    near = queries @ tree.centres[numbers[chosen]].T
    return fitted(products(queries, spool.rows(chosen)), near)


def _tree_of(spool: Spool, lists: int) -> tuple[Tree, NDArray[np.int32]]:
    sample = np.linspace(0, len(spool) - 1, sample_size(len(spool), lists)).astype(np.int64)
    tree = grow(spool.rows(sample), lists)
    parts = [tree.assign(rows) for rows in spool.blocks()]
    return tree, np.concatenate([np.zeros(0, np.int32), *parts])


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
    """What is new goes into a part of its own, or with those that `to_join` names into one."""
    catalog, facts = now.catalog, opened.facts
    is_new = np.zeros(len(catalog), dtype=bool)
    is_new[view.in_memory] = True
    sizes = [len(part) for part in opened.parts]
    due = to_join([*sizes, len(view.memory)], most=MOST_PARTS)
    joined = [place for place in due if place < len(sizes)]
    if joined:
        is_new |= np.isin(catalog.parts, joined)
        kept = np.delete(np.arange(len(sizes)), joined)
        numbers = np.full(len(sizes), IN_MEMORY, dtype=np.int32)
        numbers[kept] = np.arange(len(kept))
        parts = np.where(is_new, IN_MEMORY, numbers[catalog.parts])
        catalog = replace(catalog, parts=parts.astype(np.int32))
    names = [name for place, name in enumerate(facts.parts) if place not in joined]
    contents = np.flatnonzero(is_new)
    if len(contents):
        name = _new_name()
        checksums = _write_part(folder / FOLDER / name, view, contents, opened.tree, name, width)
        catalog = _placed_in(catalog, contents, len(names), checksums)
        names.append(name)
    changed = replace(facts, version=version, parts=tuple(names), left_out=now.left_out)
    write_catalog(folder, changed, catalog, width=width)


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


def _new_name() -> str:
    return f"part-{secrets.token_hex(6)}"
