"""The two LanceDB tables below a prefix of a bucket, where several machines read and write at once.

LanceDB commits by a conditional put, and does again what loses the race; that no row is written
twice or overwritten takes a key in the schema (`keys`) and tables that nobody creates
(`empty_tables`). There are no files here that could be cut short on a full disk.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tempme.errors import BadIndex
from tempme.index.stores.empty_tables import empty_table
from tempme.index.stores.failures import reading, writing
from tempme.index.stores.keys import KEYS, has_key, mark_key, with_key
from tempme.index.stores.panics import load_lancedb, panics_unsaid
from tempme.index.stores.places import Place, s3_options
from tempme.index.stores.rows import schema
from tempme.index.stores.tables import ATTEMPTS, TABLES, T, Tables, statements

KEPT = timedelta(hours=1)
OVERTAKEN = re.compile("commit conflict|concurrent writers|concurrent transaction", re.IGNORECASE)


class ObjectTables(Tables):
    """The tables `videos` and `moments` below `place`; `folder` is of this machine."""

    has_one_writer = False

    def __init__(self, place: Place, folder: Path, *, features: int) -> None:
        super().__init__(folder, features=features)
        self.place, self.shown = place, place.uri
        self._database: Any = None
        self._open: dict[str, Any] = {}
        self._seen: dict[str, tuple[str, int]] = {}

    def exists(self, name: str) -> bool:
        """Whether anything was ever written to the table."""
        if name in self._open:
            return True
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return name in self._connected().list_tables(limit=1000).tables

    def version(self) -> str:
        """The newest manifest of each table and its time, as the store has it now.

        A table that has taken the place of a removed one may have come to an equal number.
        """
        return " ".join(self._newest(name) for name in TABLES)

    def open(self, name: str) -> Any:
        """The table of LanceDB as the store has it now, made if there is none.

        That takes one request; left to itself, LanceDB makes one or several at every use.
        """
        if name in self._open:
            self._open[name].checkout_latest()
            return self._open[name]
        if not self.exists(name):
            files = empty_table(with_key(name, schema(name, width=self.features)))
            for file, content in files.items():
                self.place.at(f"{name}.lance").write(file, content)
        self._open[name] = self._connected().open_table(name)
        return self._open[name]

    def read(self, name: str, work: Callable[[Any], T]) -> T:
        """What `work` makes of a table; once more where another machine wrote a newer one.

        Or put another one in the place of one that was open here.
        """
        for _ in range(ATTEMPTS):
            version, was_open = "none", name in self._open
            try:
                with reading(self.shown, f"{name}.lance"), panics_unsaid():
                    table = self.open(name)
                    version = str(table.version)
                    return work(table)
            except BadIndex:
                if not was_open and self._version(name) == version:
                    raise
                self._close(name)
                if not self.exists(name):
                    raise
        return super().read(name, work)

    @contextlib.contextmanager
    def committing(self, name: str) -> Iterator[Any]:
        """A table to write to."""
        with writing(self.shown), panics_unsaid():
            table = self.open(name)
            if not has_key(name, table.schema):
                self._mark_key(name, table)
            yield table

    def commit(self, name: str, work: Callable[[Any], T]) -> T:
        """What `work` does to a table; once more where the commit of another machine was quicker.

        LanceDB itself tries again only so often, and not with everything.
        """
        for _ in range(ATTEMPTS):
            try:
                return super().commit(name, work)
            except BadIndex as error:
                if not OVERTAKEN.search(str(error.__cause__)):
                    raise
        return super().commit(name, work)

    def insert(self, name: str, rows: Any) -> int:
        """Add rows, but for those with a key that is there already; the number of rows added.

        By way of an index of the column, LanceDB would not say which keys it inserted.
        """

        def insert(table: Any) -> int:
            merge = table.merge_insert(KEYS[name]).use_index(False)
            return int(merge.when_not_matched_insert_all().execute(rows).num_inserted_rows)

        rows = _keyed(name, rows)
        return self.commit(name, insert)

    def upsert(self, name: str, rows: Any) -> None:
        """Add rows in the place of those with the same key."""

        def upsert(table: Any) -> None:
            merge = table.merge_insert(KEYS[name]).use_index(False)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

        rows = _keyed(name, rows)
        self.commit(name, upsert)

    def replace(self, name: str, rows: Any) -> None:
        """All rows of a table in one step; readers see the old ones or the new ones."""
        with self.committing(name) as table:
            table.add(_keyed(name, rows), mode="overwrite")

    def begin_again(self, name: str, rows: Any) -> None:
        """A new table with these rows in the place of one that cannot be read."""
        with writing(self.shown):
            self._open.pop(name, None)
            self._connected().create_table(name, _keyed(name, rows), mode="overwrite")

    def count(self, name: str, column: str, values: Collection[str]) -> int:
        """How many rows have one of the values in a column."""

        def count(table: Any) -> int:
            return sum(
                int(table.count_rows(f"{column} IN ({names})"))
                for names in statements(sorted(values))
            )

        return self.read(name, count)

    def put_back(self, name: str, column: str, values: Collection[str], *, version: int) -> None:
        """Insert the rows that had one of the values in a column at an earlier version."""
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            before = self._connected().open_table(name)
            before.checkout(version)
            found = [
                before.search().where(f"{column} IN ({names})").to_arrow()
                for names in statements(sorted(values))
            ]
        for rows in found:
            self.insert(name, rows)

    def has_changed(self, name: str) -> bool:
        """Whether anyone has written to a table since it was last read or written here."""
        last = self._open[name].version if name in self._open else None
        return bool(last != self.read(name, lambda table: table.version))

    def drop_indices(self) -> None:
        """Nothing: here LanceDB's own index is what large searches go by."""

    def compact(self) -> None:
        """Put together what small writes left; other machines may still read older versions."""
        for name in filter(self.exists, TABLES):
            self.commit(name, lambda table: table.optimize(cleanup_older_than=KEPT))

    def _manifests(self, name: str) -> Sequence[str]:
        return (self._version(name),)

    def _connected(self) -> Any:
        if self._database is None:
            self._database = load_lancedb().connect(
                self.shown,
                storage_options=s3_options(),
            )
        return self._database

    def _newest(self, name: str) -> str:
        files = self.place.at(f"{name}.lance").files("_versions")
        found = [one for one in files if one.name.endswith(".manifest")]
        # Lance counts names down from 2^64.
        newest = min(((one.name, one.mtime_ns) for one in found), default=None)
        if newest is None:
            return "none"
        before = self._seen.get(name, newest)
        if newest != before and newest[0] >= before[0]:
            self._close(name)  # another table in its place: LanceDB knows versions by number
        self._seen[name] = newest
        return f"{newest[0]}@{newest[1]:x}"

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._database = None

    def _version(self, name: str) -> str:
        if not self.exists(name):
            return "none"
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return str(self.open(name).version)

    def _mark_key(self, name: str, table: Any) -> None:
        """Mark the key of a table, unless another machine does so at the same time."""
        try:
            mark_key(name, table)
        except (RuntimeError, ValueError):
            table.checkout_latest()
            if not has_key(name, table.schema):
                raise


def _keyed(name: str, rows: Any) -> Any:
    return rows.cast(with_key(name, rows.schema))
