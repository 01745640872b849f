"""The store on one machine: two LanceDB tables in the index folder, and a snapshot for searches.

LanceDB commits each write in one step and lets other processes read the version before it, which
is what makes a run that is killed harmless. It is imported at the first use: a search that finds a
fresh snapshot never needs it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadIndex
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.intact import whole_or_undone
from tempme.index.stores.rows import (
    empty_gallery,
    gallery_from,
    moment_rows,
    schema,
    video_from,
    video_rows,
)
from tempme.index.stores.snapshot import path_to_text, read_snapshot, text_to_path, write_snapshot

TABLES = ("videos", "moments")
# Readers take seconds at most; versions older than this are nobody's any more.
KEEP_VERSIONS = timedelta(minutes=10)
FOREVER = timedelta(days=36500)
NAMES_PER_STATEMENT = 500


class LanceStore:
    """The tables `videos` and `moments` in `folder`; `features` is the width D.

    `index_from` is the number of moments from which `tidy` builds an approximate index.
    """

    def __init__(self, folder: Path, *, features: int, index_from: int) -> None:
        self.folder = folder
        self.features = features
        self.index_from = index_from

    def videos(self) -> tuple[Video, ...]:
        """Every row of the video table, ordered by path."""
        found = (video_from(row) for row in self._rows("videos", "digest", None).to_pylist())
        return tuple(sorted(found, key=lambda video: video.path))

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments, then insert or replace the rows of these paths."""
        if moments:
            with self._committing("moments") as table:
                table.add(moment_rows(moments, width=self.features))
        if videos:
            with self._committing("videos") as table:
                merge = table.merge_insert("path")
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                merge.execute(video_rows(videos))

    def forget(self, paths: Collection[Path]) -> None:
        """Remove the rows of these paths."""
        self._delete("videos", "path", [path_to_text(path) for path in paths])

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed."""
        if not self._exists("moments"):
            return 0
        wanted = {video.digest for video in self.videos() if video.status == "ok"}
        with _reading(self.folder):
            column = self._table("moments").search().select(["video"]).to_arrow()["video"]
        orphans = set(column.unique().to_pylist()) - wanted
        self._delete("moments", "video", orphans)
        return len(orphans)

    def tidy(self) -> None:
        """Compact what many small writes left, index the features of a large store, snapshot."""
        for name in filter(self._exists, TABLES):
            # What is old goes only once what is new is known to be whole.
            with self._committing(name) as table:
                table.optimize(cleanup_older_than=FOREVER)
            with self._committing(name) as table:
                table.optimize(cleanup_older_than=KEEP_VERSIONS)
        if self.num_moments() >= self.index_from:
            with _writing(self.folder):
                self._build_index()
            return
        self._write_snapshot(self._read_gallery(None))

    def num_moments(self) -> int:
        """How many moments are stored, orphans included."""
        with _reading(self.folder):
            return int(self._table("moments").count_rows()) if self._exists("moments") else 0

    def gallery(self, only: Collection[str] | None = None) -> Gallery:
        """The moments of all contents, or of `only` these, in memory for an exact scan."""
        if only is not None:
            return self._read_gallery(only)
        versions = self.version()
        return read_snapshot(self.folder, versions=versions) or self._read_gallery(None)

    def nearest(self, feature: NDArray[np.float32], k: int) -> list[str]:
        """The contents of about the k moments nearest to `feature`, best first."""
        with _reading(self.folder):
            query = self._table("moments").search(feature, vector_column_name="feature")
            rows = (
                query.distance_type("dot")
                .nprobes(64)
                .select(["video", "_distance"])
                .limit(k)
                .to_arrow()
            )
        return list(dict.fromkeys(rows["video"].to_pylist()))

    def _read_gallery(self, only: Collection[str] | None) -> Gallery:
        paths: dict[str, list[Path]] = {}
        for row in self._rows("videos", "digest", only).to_pylist():
            if row["status"] == "ok":
                paths.setdefault(row["digest"], []).append(text_to_path(row["path"]))
        if not paths:
            return empty_gallery(self.features)
        rows = self._rows("moments", "video", None if only is None else paths)
        return gallery_from(rows, paths, width=self.features)

    def _rows(self, name: str, column: str, only: Collection[str] | None) -> Any:
        """The rows of a table, or those with one of the values `only` in a column."""
        import pyarrow as pa

        if not self._exists(name):
            return schema(name, width=self.features).empty_table()
        with _reading(self.folder):
            table = self._table(name)
            if only is None:
                return table.to_arrow()
            parts = [
                table.search().where(f"{column} IN ({values})").to_arrow()
                for values in _statements(sorted(only))
            ]
            return pa.concat_tables(parts) if parts else table.schema.empty_table()

    def _write_snapshot(self, gallery: Gallery) -> None:
        write_snapshot(self.folder, gallery, versions=self.version())

    def is_large(self) -> bool:
        """Whether `tidy` has built an index of the features."""
        indices = self.folder / "moments.lance" / "_indices"
        return indices.is_dir() and any(indices.iterdir())

    def _build_index(self) -> None:
        if self.is_large():  # `optimize` takes new rows into the index that there is
            return
        from lancedb.index import BTree, IvfFlat

        table = self._table("moments")
        table.create_index("feature", config=IvfFlat(distance_type="dot"))
        table.create_index("video", config=BTree())
        self._table("videos").create_index("digest", config=BTree())

    def version(self) -> str:
        """The newest manifest of each table: Lance counts names down from 2^64, so the first."""
        newest = []
        for name in TABLES:
            manifests = (self.folder / f"{name}.lance" / "_versions").glob("*.manifest")
            newest.append(min((path.name for path in manifests), default="none"))
        return " ".join(newest)

    def _exists(self, name: str) -> bool:
        manifests = (self.folder / f"{name}.lance" / "_versions").glob("*.manifest")
        return next(manifests, None) is not None

    def _table(self, name: str) -> Any:
        database = _connect(self.folder)
        if self._exists(name):
            return database.open_table(name)
        columns = schema(name, width=self.features)
        return database.create_table(name, schema=columns, exist_ok=True)

    def _delete(self, name: str, column: str, values: Collection[str]) -> None:
        if not values or not self._exists(name):
            return
        with self._committing(name) as table:
            for names in _statements(sorted(values)):
                table.delete(f"{column} IN ({names})")

    @contextlib.contextmanager
    def _committing(self, name: str) -> Iterator[Any]:
        """A table to write to; what the disk takes only half of is an error and taken back."""
        with _writing(self.folder), whole_or_undone(self.folder / f"{name}.lance"):
            yield self._table(name)


def _connect(folder: Path) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # a warning at every new table helps nobody
    import lancedb

    return lancedb.connect(folder)


def _statements(values: Sequence[str]) -> Iterator[str]:
    """SQL lists of `values`, none so long that parsing it takes noticeable time."""
    for start in range(0, len(values), NAMES_PER_STATEMENT):
        part = values[start : start + NAMES_PER_STATEMENT]
        yield ", ".join("'" + value.replace("'", "''") + "'" for value in part)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise BadIndex(
            f"cannot write to the index {folder}: {_cause(error)}; what was finished before is "
            "kept: make room or writable, then run the same command again"
        ) from error


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise BadIndex(
            f"the index {folder} cannot be read: {_cause(error)}; "
            "restore it from a copy, or delete it and index again"
        ) from error


def _cause(error: Exception) -> str:
    # Lance ends its messages with the place in its own source; a user needs the part before.
    text = str(error).split(", /")[0].splitlines()[0] if str(error) else type(error).__name__
    return text.removeprefix("lance error: ")
