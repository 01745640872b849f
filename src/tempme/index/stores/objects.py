"""The store in an object store: the two tables of `object_tables`, and what several writers need.

A writer puts moments before the rows that name them, and another may sweep between the two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tempme.errors import BadIndex
from tempme.index.moments import Moments, Video
from tempme.index.stores.contents import stored_videos
from tempme.index.stores.damage import is_possible
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.object_tables import ObjectTables
from tempme.index.stores.places import Place
from tempme.index.stores.rows import counts_from, moment_rows
from tempme.index.stores.sweeping import ATTEMPTS, moments_in, row_of, swept_too_often


class ObjectStore(LanceStore):
    """The tables below `place`; in `folder`, of this machine, is a copy of a small index."""

    def __init__(self, place: Place, folder: Path, *, features: int, index_from: int) -> None:
        tables = ObjectTables(place, folder, features=features)
        super().__init__(folder, features=features, index_from=index_from, tables=tables)
        self._objects = tables
        self._large: tuple[int, bool] | None = None

    def _put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments that are not there, then the rows; again where another swept between.

        Moments of one content from two machines can differ in the last bit: the first ones count.
        """
        if not moments:
            super()._put(videos, ())
            return
        rows = moment_rows(moments, width=self.features)
        for _ in range(ATTEMPTS):
            added = self._objects.insert("moments", rows)
            ours = {each.digest: each for each in moments}
            others = {} if added == len(rows) else self._stored(ours)
            super()._put([row_of(video, others.get(video.digest)) for video in videos], ())
            if not self._objects.has_changed("moments"):
                return
            expected = sum(len(each.spans) for each in (ours | others).values())
            if self._objects.count("moments", "video", ours) >= expected:
                return
        raise BadIndex(swept_too_often(self._objects.shown))

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed.

        Those that another machine writes a row of meanwhile are put back.
        """
        if not self._objects.exists("moments"):
            return 0
        version, counts = self._objects.read("moments", _counted)
        orphans = counts.keys() - {row.digest for row in self.videos() if row.status == "ok"}
        self._objects.delete("moments", "video", orphans)
        if not orphans:
            return 0
        wanted = {row.digest for row in stored_videos(self._objects) if row.status == "ok"}
        if taken := orphans & wanted:
            self._objects.put_back("moments", "video", taken, version=version)
        return len(orphans - wanted)

    def is_large(self) -> bool:
        """Whether `tidy` has built an index of the features."""
        if not self._objects.exists("moments"):
            return False

        def has_index(table: Any) -> bool:
            if self._large is None or self._large[0] != table.version:
                indices = table.list_indices()
                self._large = (table.version, any("feature" in one.columns for one in indices))
            return self._large[1]

        return self._objects.read("moments", has_index)

    def _index(self) -> None:
        """In the store, for all machines, and as lists on this one.

        `compact` takes new rows into the index that there is.
        """
        if not self.is_large():
            self._index_there()
        from tempme.index.lists.upkeep import ListsSource, list_elsewhere

        list_elsewhere(self.folder, ListsSource(self, self.pieces), width=self.features)

    def _index_there(self) -> None:
        from lancedb.index import BTree, IvfFlat

        def index_moments(table: Any) -> None:
            table.create_index("feature", config=IvfFlat(distance_type="dot"))
            table.create_index("video", config=BTree())

        self._objects.commit("moments", index_moments)
        self._objects.commit("videos", lambda table: table.create_index("digest", config=BTree()))

    def _stored(self, digests: Collection[str]) -> dict[str, Moments]:
        """The moments of these contents as the store has them, but for what can be none."""
        rows = self._objects.rows("moments", "video", digests)
        found = moments_in(rows, digests, width=self.features)
        return {name: each for name, each in found.items() if is_possible(each)}


def _counted(table: Any) -> tuple[int, dict[str, int]]:
    """The version of the table of moments, and how many each content has."""
    column = table.search().select(["video"]).to_arrow()["video"]
    return int(table.version), counts_from(column)
