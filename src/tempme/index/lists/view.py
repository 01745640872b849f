"""The lists as a search sees them, with what the store has beyond them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.array_file import Unusable
from tempme.index.lists.calibrating import FEWEST_ROWS, Reach
from tempme.index.lists.catalog import IN_MEMORY, Catalog, PathsOf, catalog_of
from tempme.index.lists.half import is_finite
from tempme.index.lists.opened import OpenLists
from tempme.index.lists.part import PartRows, rows_between
from tempme.index.lists.tree import Tree
from tempme.index.moments import Gallery, Video
from tempme.index.stores.store import Store

# The part of contents that a narrowed view does not have.
ELSEWHERE = -2


class ListsView:
    """All contents of an index: those of the parts, and those in `memory`, which no part has yet.

    `owners[p]` gives for each content of part p its number in the catalogue, -1 where it is gone.
    `in_memory` are the contents in memory, in the order of `memory`; `reach` and `grown_from` as of
    `ListsFacts`. `is_narrowed`: of some of the contents of the catalogue, whose moments were held
    against their checksums; the others are `ELSEWHERE`.
    """

    def __init__(
        self,
        catalog: Catalog,
        tree: Tree,
        parts: Sequence[PartRows],
        *,
        memory: Gallery,
        left_out: tuple[Path, ...],
        reach: Reach,
        grown_from: int,
        is_narrowed: bool = False,
    ) -> None:
        self.is_narrowed = is_narrowed
        self.catalog, self.tree, self.parts = catalog, tree, tuple(parts)
        self.memory, self.left_out, self.reach = memory, left_out, reach
        self.in_memory = np.flatnonzero(catalog.parts == IN_MEMORY)
        self.owners = [np.full(len(part.first) - 1, -1, dtype=np.int32) for part in parts]
        self.counts = np.zeros(len(catalog), dtype=np.int64)
        if len(self.in_memory):
            self.counts[self.in_memory] = np.bincount(memory.owner, minlength=len(self.in_memory))
        for number, part in enumerate(parts):
            mine = np.flatnonzero(catalog.parts == number)
            self.owners[number][catalog.places[mine]] = mine
            self.counts[mine] = np.diff(part.first)[catalog.places[mine]]
        self.memory_bounds = np.append(memory.first, len(memory))
        self.num_moments = int(self.counts.sum())
        # Lists grow with the index, and with them what of it has to be looked at.
        self.scanned = round(reach.rows * max(1.0, self.num_moments / max(1, grown_from)))
        self.sizes = sum((np.diff(part.bounds) for part in parts), np.zeros(len(tree.centres), int))
        self._is_checked = np.full(len(catalog), is_narrowed)

    @property
    def num_dead(self) -> int:
        """Moments of the parts that belong to nothing any more."""
        return sum(map(len, self.parts)) + len(self.memory) - self.num_moments

    def wanted(self, admitted: int) -> int:
        """How many rows of so many that a filter admits a search has to look at."""
        part = self.reach.part(admitted / max(1, self.num_moments))
        return max(min(admitted, FEWEST_ROWS), math.ceil(part * admitted))

    def share(self, admitted: NDArray[np.bool_]) -> float:
        """The share of these contents in all moments."""
        return max(1, int(self.counts[admitted].sum())) / max(1, self.num_moments)

    def gallery(self, contents: NDArray[np.int64]) -> Gallery:
        """The moments of these contents, ascending, each content held against its checksum."""
        counts = self.counts[contents]
        owner = np.repeat(np.arange(len(contents)), counts)
        spans = np.empty((len(owner), 2))
        features = np.empty((len(owner), self.memory.features.shape[1]), dtype=np.float16)
        for number in np.unique(self.catalog.parts[contents]).tolist():
            mine = np.flatnonzero(self.catalog.parts[contents] == number)
            filled = np.flatnonzero(np.isin(owner, mine))
            places = self.catalog.places[contents[mine]]
            if number == IN_MEMORY:
                rows = rows_between(self.memory_bounds, places)
                spans[filled], features[filled] = (
                    self.memory.spans[rows],
                    self.memory.features[rows],
                )
            else:
                part = self.parts[number]
                rows = part.position[rows_between(part.first, places)].astype(np.int64)
                spans[filled], features[filled] = part.spans[rows], part.features_at(rows)
        names = tuple(self.catalog.digest(int(content)) for content in contents)
        gallery = Gallery(names, PathsOf(self.catalog, contents), owner, spans, features)
        self._check(gallery, contents)
        return gallery

    def _check(self, gallery: Gallery, contents: NDArray[np.int64]) -> None:
        """Unusable unless each of these contents is as it was written; each is looked at once."""
        is_new = ~self._is_checked[contents] & (self.catalog.parts[contents] != IN_MEMORY)
        for place in np.flatnonzero(is_new).tolist():
            moments = gallery.content(place)
            is_whole = int(moments.checksum, 16) == self.catalog.checksums[contents[place]]
            if not is_whole or not is_finite(moments.features):
                raise Unusable("the moments of a content are damaged")
            self._is_checked[contents[place]] = True

    def of(self, *digests: str) -> Gallery:
        """The moments of these contents; of one that is not there, none."""
        found = {number for one in digests if (number := self.catalog.find(one)) is not None}
        return self.gallery(np.array(sorted(found), dtype=np.int64))


@dataclass(frozen=True)
class Fresh:
    """What the store has now: a catalogue of it, what of it is in no part, and what is left out."""

    catalog: Catalog
    memory: Gallery
    left_out: tuple[Path, ...]


def num_new(store: Store, opened: OpenLists) -> int:
    """How many moments a store has that are in no part."""
    counts = {row.digest: row.num_moments for row in store.videos() if row.status == "ok"}
    known = set(opened.catalog.digests.tolist())
    return sum(count for digest, count in counts.items() if digest.encode() not in known)


def fresh(store: Store, opened: OpenLists) -> Fresh:
    """What a store has, held against lists of an earlier version of it."""
    rows = store.videos()
    good = [row for row in rows if row.status == "ok" and row.num_moments]
    catalog, new = _placed(good, opened)
    memory = store.gallery(new)
    if list(memory.contents) != new:  # what is damaged among them, or was forgotten meanwhile
        lost = set(new).difference(memory.contents)
        good = [row for row in good if row.digest not in lost]
        catalog, new = _placed(good, opened)
    damaged = {row.path for row in rows if row.status == "damaged"}
    return Fresh(catalog, memory, tuple(sorted(damaged.union(memory.left_out))))


def _placed(rows: Sequence[Video], opened: OpenLists) -> tuple[Catalog, list[str]]:
    catalog = catalog_of(rows, opened.catalog, opened.counts)
    return catalog, [catalog.digest(int(i)) for i in np.flatnonzero(catalog.parts == IN_MEMORY)]


def view_of(opened: OpenLists, now: Fresh) -> ListsView:
    """Lists of an earlier version, with what the store has beyond them."""
    return ListsView(
        now.catalog,
        opened.tree,
        opened.parts,
        memory=now.memory,
        left_out=now.left_out,
        reach=opened.facts.reach,
        grown_from=opened.facts.grown_from,
    )


def view_as_written(opened: OpenLists, *, width: int) -> ListsView:
    """Lists that are of the version that the store has."""
    none = Gallery(
        (), (), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, width), np.float16)
    )
    return ListsView(
        opened.catalog,
        opened.tree,
        opened.parts,
        memory=none,
        left_out=opened.facts.left_out,
        reach=opened.facts.reach,
        grown_from=opened.facts.grown_from,
    )
