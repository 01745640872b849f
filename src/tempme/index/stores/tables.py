"""The two LanceDB tables of an index: rows in, rows out, every commit whole or taken back.

LanceDB commits each write in one step and lets other processes read the version before it, which
is what makes a run that is killed harmless. It is imported at the first use: a search that finds a
fresh snapshot never needs it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tempme.errors import BadIndex
from tempme.index.stores.compacting import join_fragments, remove_old
from tempme.index.stores.failures import reading, writing
from tempme.index.stores.intact import whole_or_undone
from tempme.index.stores.keys import KEYS
from tempme.index.stores.panics import load_lancedb, panics_unsaid
from tempme.index.stores.rows import schema

T = TypeVar("T")
TABLES = ("videos", "moments")
# A column of each, which writing it again changes as little as another.
COMPACTED = {"videos": "size_bytes", "moments": "start_seconds"}
# What Lance makes in the folder of a table.
FOLDERS = ("_deletions", "_indices", "_transactions", "_versions", "data")
# A reader of a version that is gone begins again with the newest, see `Tables.read`.
KEEP_VERSIONS = timedelta(milliseconds=1)
ATTEMPTS = 5
FOREVER = timedelta(days=36500)
NAMES_PER_STATEMENT = 500


class Tables:
    """The tables `videos` and `moments` in `folder`; `features` is the width D.

    `has_one_writer`: whoever writes has a lock that keeps others out.
    """

    has_one_writer = True

    def __init__(self, folder: Path, *, features: int) -> None:
        self.folder = folder
        self.shown: Path | str = folder  # what messages call it
        self.features = features

    def exists(self, name: str) -> bool:
        """Whether anything was ever written to the table; BadIndex for what can be no table."""
        for path in (self._path(name), *(self._path(name) / part for part in FOLDERS)):
            if path.exists() and not path.is_dir():
                with reading(self.folder, str(path.relative_to(self.folder))):
                    raise NotADirectoryError("is not a folder")
        return bool(self._manifests(name))

    def version(self) -> str:
        """The newest manifest of each table: Lance counts names down from 2^64, so the first."""
        return " ".join(min(self._manifests(name), default="none") for name in TABLES)

    def rows(self, name: str, column: str = "", only: Collection[str] | None = None) -> Any:
        """The rows of a table, or those with one of the values `only` in `column`, as Arrow."""
        import pyarrow as pa

        if not self.exists(name):
            return schema(name, width=self.features).empty_table()

        def read(table: Any) -> Any:
            if only is None:
                return table.to_arrow()
            parts = [
                table.search().where(f"{column} IN ({values})").to_arrow()
                for values in statements(sorted(only))
            ]
            return pa.concat_tables(parts) if parts else table.schema.empty_table()

        return self.read(name, read)

    def read(self, name: str, work: Callable[[Any], T]) -> T:
        """What `work` makes of a table; BadIndex where it cannot be read.

        A writer removes what is old as soon as it has put something newer in its place: then the
        work is done again with that.
        """
        for _ in range(ATTEMPTS):
            version = self._manifests(name)
            try:
                with reading(self.shown, f"{name}.lance"), panics_unsaid():
                    return work(self.open(name))
            except BadIndex:
                if self._manifests(name) == version:
                    raise
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return work(self.open(name))

    def stream(self, name: str, *, rows: int) -> Iterator[Any]:
        """All rows of a table in pieces of about so many, as Arrow."""
        import pyarrow as pa

        if not self.exists(name):
            return
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            batches = self.open(name).search().to_batches()
        pending: list[Any] = []
        while (batch := self._next(name, batches)) is not None:
            pending.append(batch)
            if sum(len(one) for one in pending) >= rows:
                yield pa.Table.from_batches(pending)
                pending = []
        if pending:
            yield pa.Table.from_batches(pending)

    def _next(self, name: str, batches: Any) -> Any:
        with reading(self.shown, f"{name}.lance"), panics_unsaid():
            return next(batches, None)

    def column(self, name: str, column: str) -> Any:
        """One column of a table."""
        if not self.exists(name):
            return schema(name, width=self.features).empty_table()[column]
        return self.read(name, lambda table: table.search().select([column]).to_arrow()[column])

    def columns(self, name: str) -> tuple[str, ...]:
        """The names of a table's columns; none where there is no table."""
        if not self.exists(name):
            return ()
        return self.read(name, lambda table: tuple(table.schema.names))

    def open(self, name: str) -> Any:
        """The table of LanceDB, made if there is none."""
        database = _connect(self.folder)
        if self.exists(name):
            return database.open_table(name)
        columns = schema(name, width=self.features)
        return database.create_table(name, schema=columns, exist_ok=True)

    @contextlib.contextmanager
    def committing(self, name: str) -> Iterator[Any]:
        """A table to write to; what the disk takes only half of is an error and taken back."""
        with writing(self.folder), whole_or_undone(self._path(name)), panics_unsaid():
            yield self.open(name)

    def commit(self, name: str, work: Callable[[Any], T]) -> T:
        """What `work` does to a table."""
        with self.committing(name) as table:
            return work(table)

    def insert(self, name: str, rows: Any) -> int:
        """Add rows; their number."""
        self.commit(name, lambda table: table.add(rows))
        return len(rows)

    def upsert(self, name: str, rows: Any) -> None:
        """Add rows in the place of those with the same key."""
        with self.committing(name) as table:
            merge = table.merge_insert(KEYS[name])
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def replace(self, name: str, rows: Any) -> None:
        """All rows of a table in one step; readers see the old ones or the new ones."""
        with writing(self.folder), whole_or_undone(self._path(name)):
            _connect(self.folder).create_table(name, rows, mode="overwrite")

    def begin_again(self, name: str, rows: Any) -> None:
        """A new table with these rows in the place of one that cannot be read."""
        with writing(self.folder):
            _remove(self._path(name))
            _connect(self.folder).create_table(name, rows, mode="overwrite")

    def delete(self, name: str, column: str, values: Collection[str]) -> None:
        """Remove the rows that have one of the values in a column."""
        if not values or not self.exists(name):
            return

        def delete(table: Any) -> None:
            for names in statements(sorted(values)):
                table.delete(f"{column} IN ({names})")

        self.commit(name, delete)

    def drop_indices(self) -> None:
        """Remove the indices that earlier versions had LanceDB make."""
        for name in filter(self.exists, TABLES):
            if (self._path(name) / "_indices").is_dir():
                with self.committing(name) as table:
                    for index in table.list_indices():
                        table.drop_index(index.name)

    def compact(self) -> None:
        """Put together what many small writes left, and remove versions that nobody reads."""
        for name, column in COMPACTED.items():
            if self.exists(name):
                self._compact(name, column)

    def _compact(self, name: str, column: str) -> None:
        path = self._path(name)
        # What is old goes only once what is new is known to be whole.
        with self.committing(name) as table:
            joining = join_fragments(path, table, column)
        if joining.is_possible:
            with writing(self.folder):
                remove_old(path, self.open(name), joining)
            return
        for age in (FOREVER, KEEP_VERSIONS):
            with self.committing(name) as table:
                table.optimize(cleanup_older_than=age)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lance"

    def _manifests(self, name: str) -> Sequence[str]:
        """Their names; asked for at every search, and `glob` takes five times as long."""
        try:
            with os.scandir(self._path(name) / "_versions") as entries:
                return [entry.name for entry in entries if entry.name.endswith(".manifest")]
        except (FileNotFoundError, NotADirectoryError):
            return ()


def _remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _connect(folder: Path) -> Any:
    return load_lancedb().connect(folder)


def statements(values: Sequence[str]) -> Iterator[str]:
    """SQL lists of `values`, none so long that parsing it takes noticeable time."""
    for start in range(0, len(values), NAMES_PER_STATEMENT):
        part = values[start : start + NAMES_PER_STATEMENT]
        yield ", ".join("'" + value.replace("'", "''") + "'" for value in part)
