"""The store in an object store: the same two LanceDB tables, below a prefix of a bucket.

LanceDB commits by a conditional put, so that several machines may read and write at once; what
loses the race is done again by it. There are no files here that could be cut short on a full disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tempme.errors import BadIndex
from tempme.index.moments import Moments, Video
from tempme.index.stores.failures import reading, writing
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.panics import load_lancedb, panics_unsaid
from tempme.index.stores.places import Place, s3_options
from tempme.index.stores.rows import moment_rows, schema
from tempme.index.stores.tables import ATTEMPTS, TABLES, T, Tables

KEPT = timedelta(hours=1)


class ObjectTables(Tables):
    """The tables `videos` and `moments` below `place`; `folder` is of this machine."""

    has_one_writer = False

    def __init__(self, place: Place, folder: Path, *, features: int) -> None:
        super().__init__(folder, features=features)
        self.shown = place.uri
        self._database: Any = None
        self._open: dict[str, Any] = {}

    def exists(self, name: str) -> bool:
        """Whether anything was ever written to the table."""
        if name in self._open:
            return True
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return name in self._connected().list_tables(limit=1000).tables

    def version(self) -> str:
        """The version of each table, as the store has it now."""
        return " ".join(self._version(name) for name in TABLES)

    def open(self, name: str) -> Any:
        """The table of LanceDB as the store has it now, made if there is none.

        That takes one request; left to itself, LanceDB makes one or several at every use.
        """
        if name in self._open:
            self._open[name].checkout_latest()
            return self._open[name]
        database = self._connected()
        if not self.exists(name):
            columns = schema(name, width=self.features)
            database.create_table(name, schema=columns, exist_ok=True)
        self._open[name] = database.open_table(name)
        return self._open[name]

    def read(self, name: str, work: Callable[[Any], T]) -> T:
        """What `work` makes of a table; once more where another machine wrote a newer one."""
        for _ in range(ATTEMPTS):
            version = "none"
            try:
                with reading(self.shown, f"{name}.lance"), panics_unsaid():
                    table = self.open(name)
                    version = str(table.version)
                    return work(table)
            except BadIndex:
                if self._version(name) == version:
                    raise
        return super().read(name, work)

    @contextlib.contextmanager
    def committing(self, name: str) -> Iterator[Any]:
        """A table to write to."""
        with writing(self.shown), panics_unsaid():
            yield self.open(name)

    def replace(self, name: str, rows: Any) -> None:
        """All rows of a table in one step; readers see the old ones or the new ones."""
        with self.committing(name) as table:
            table.add(rows, mode="overwrite")

    def begin_again(self, name: str, rows: Any) -> None:
        """A new table with these rows in the place of one that cannot be read."""
        with writing(self.shown):
            self._open.pop(name, None)
            self._connected().create_table(name, rows, mode="overwrite")

    def drop_indices(self) -> None:
        """Nothing: here LanceDB's own index is what large searches go by."""

    def compact(self) -> None:
        """Put together what small writes left; other machines may still read older versions."""
        for name in filter(self.exists, TABLES):
            with self.committing(name) as table:
                table.optimize(cleanup_older_than=KEPT)

    def _manifests(self, name: str) -> Sequence[str]:
        return (self._version(name),)

    def _connected(self) -> Any:
        if self._database is None:
            self._database = load_lancedb().connect(
                self.shown,
                storage_options=s3_options(),
            )
        return self._database

    def _version(self, name: str) -> str:
        if not self.exists(name):
            return "none"
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return str(self.open(name).version)


class ObjectStore(LanceStore):
    """The tables below `place`; in `folder`, of this machine, is a copy of a small index."""

    def __init__(self, place: Place, folder: Path, *, features: int, index_from: int) -> None:
        tables = ObjectTables(place, folder, features=features)
        super().__init__(folder, features=features, index_from=index_from, tables=tables)
        self._large: tuple[int, bool] | None = None

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Insert or replace the moments, then the rows: another machine may write the same."""
        if moments:
            with self._tables.committing("moments") as table:
                merge = table.merge_insert(["video", "start_seconds"])
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                merge.execute(moment_rows(moments, width=self.features))
        super().put(videos, ())

    def is_large(self) -> bool:
        """Whether `tidy` has built an index of the features."""
        if not self._tables.exists("moments"):
            return False

        def has_index(table: Any) -> bool:
            if self._large is None or self._large[0] != table.version:
                indices = table.list_indices()
                self._large = (table.version, any("feature" in one.columns for one in indices))
            return self._large[1]

        return self._tables.read("moments", has_index)

    def _index(self) -> None:
        """In the store, for all machines; `compact` takes new rows into the index that there is."""
        if self.is_large():
            return
        from lancedb.index import BTree, IvfFlat

        with self._tables.committing("moments") as table:
            table.create_index("feature", config=IvfFlat(distance_type="dot"))
            table.create_index("video", config=BTree())
        with self._tables.committing("videos") as table:
            table.create_index("digest", config=BTree())
