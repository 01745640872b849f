"""The store on one machine: two LanceDB tables in the index folder, and a snapshot for searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.index.header import identity
from tempme.index.lists.opened import has_lists, remove_lists
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.contents import stored_counts, stored_gallery, stored_videos
from tempme.index.stores.damage import Damage, with_lost
from tempme.index.stores.failures import reading
from tempme.index.stores.known import KnownRows
from tempme.index.stores.paths import path_to_text
from tempme.index.stores.repair import Copy, damage_to, remove_damaged
from tempme.index.stores.row_copy import kept_rows, update_rows, write_rows
from tempme.index.stores.rows import ROW_CHECKSUM, RowsRead, moment_rows, video_rows
from tempme.index.stores.snapshot import read_snapshot, remove_snapshot, write_snapshot
from tempme.index.stores.streaming import gallery_pieces
from tempme.index.stores.tables import Tables

# A writer between the reads of the two tables can make them look as if something was lost.
ATTEMPTS = 5
FIRST_ROWS_SECONDS = 0.5
# Moments up to which earlier versions wrote a snapshot.
ONCE_SCANNED = 200_000


class LanceStore:
    """The tables `videos` and `moments` in `folder`; `features` is the width D.

    `index_from` is the number of moments from which `tidy` makes lists of them to search by.
    """

    def __init__(
        self, folder: Path, *, features: int, index_from: int, tables: Tables | None = None
    ) -> None:
        self.folder = folder
        self.features = features
        self.index_from = index_from
        self._tables = tables or Tables(folder, features=features)
        self._rows = RowsRead()
        self._known: KnownRows | None = None
        self._known_of = ""  # another index may take the place of this one, at an equal version
        self._is_mended = False

    def videos(self) -> tuple[Video, ...]:
        """Every row of the video table, ordered by path; "damaged" where it or moments are lost."""
        if (known := self._known_now()) is not None:
            return known.videos
        for _ in range(ATTEMPTS):
            version, self._known_of = self.version(), identity(self.folder)
            rows = stored_videos(self._tables, known=self._rows)
            counts = stored_counts(self._tables)
            found = with_lost(rows, counts)
            if version == self.version():
                self._known = known = KnownRows.of(version, rows, counts)
                if known is not None:
                    return known.videos
                break
            if all(row.status != "damaged" for row in found):
                break
        return tuple(sorted(found, key=lambda video: video.path))

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments, then insert or replace the rows of these paths."""
        with self._writing(lambda known, now: known.put(now, videos, moments)):
            self._put(videos, moments)

    def _put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        if moments:
            self._tables.insert("moments", moment_rows(moments, width=self.features))
        if videos:
            self._tables.upsert("videos", video_rows(videos))

    def forget(self, paths: Collection[Path]) -> None:
        """Remove the rows of these paths."""
        with self._writing(lambda known, now: known.without(now, paths)):
            self._tables.delete("videos", "path", [path_to_text(path) for path in paths])

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed."""
        if not self._tables.exists("moments"):
            return 0
        wanted = {video.digest for video in self.videos() if video.status == "ok"}
        orphans = self._counts().keys() - wanted
        with self._writing(lambda known, now: known.swept(now, orphans)):
            self._tables.delete("moments", "video", orphans)
        return len(orphans)

    def tidy(self) -> None:
        """Compact what many small writes left; a copy for searches, as lists where it is large."""
        with self._writing(lambda known, now: known.at(now)):
            self._tables.drop_indices()
            self._tables.compact()
        self._copy_rows()
        if self.num_moments() >= self.index_from:
            self._index()
            remove_snapshot(self.folder)
            return
        gallery, _ = stored_gallery(self._tables)
        write_snapshot(self.folder, gallery, versions=self.version())
        remove_lists(self.folder)

    def upgrade(self) -> None:
        """Give the rows that an older version wrote what those of this one have: checksums."""
        columns = self._tables.columns("videos")
        if not columns or ROW_CHECKSUM in columns:
            return
        gallery, _ = stored_gallery(self._tables)
        sums = {name: gallery.content(i).checksum for i, name in enumerate(gallery.contents)}
        # By path: an older version could write one path in two spellings.
        rows = {row.path: row for row in stored_videos(self._tables) if row.status != "damaged"}
        signed = [replace(row, checksum=sums.get(row.digest, "")) for row in rows.values()]
        self._tables.replace("videos", video_rows(signed))

    def check(self) -> Damage:
        """What is damaged, after a look at every row and every moment."""
        listed = kept_rows(self.folder)
        return damage_to(self._tables, self._copy(), listed[1] if listed is not None else ())

    def repair(self, damage: Damage) -> None:
        """Take out what `check` found; what of it the snapshot does not have is lost then."""
        # A table that is begun again counts its versions anew: no copy is known by one.
        self._known, self._is_mended = None, True
        remove_damaged(self._tables, damage, self._copy())

    def num_moments(self) -> int:
        """How many moments are stored, orphans included."""
        if not self._tables.exists("moments"):
            return 0
        return self._tables.read("moments", lambda table: int(table.count_rows()))

    def version(self) -> str:
        """A word that changes with every write."""
        return self._tables.version()

    def gallery(self, only: Collection[str] | None = None) -> Gallery:
        """The moments of all contents, or of `only` these, in memory for an exact scan."""
        if only is None and (copy := self._snapshot(self.version())) is not None:
            return copy
        for _ in range(ATTEMPTS):
            version = self.version()
            gallery, damaged = stored_gallery(self._tables, only)
            if not damaged or version == self.version():
                break
        if not gallery.contents and not gallery.left_out:
            self._check_not_lost()
        return gallery

    def pieces(self) -> Iterator[Gallery]:
        """All moments in pieces, each content whole; the files left out come with them."""
        return gallery_pieces(self._tables)

    def nearest(self, feature: NDArray[np.float32], k: int) -> list[str]:
        """The contents of about the k moments nearest to `feature`, best first."""

        def read(table: Any) -> list[str]:
            query = table.search(feature, vector_column_name="feature").distance_type("dot")
            rows = query.nprobes(64).select(["video", "_distance"]).limit(k).to_arrow()
            return list(dict.fromkeys(rows["video"].to_pylist()))

        return self._tables.read("moments", read)

    def is_large(self) -> bool:
        """Whether `tidy` has made lists of the features, or an earlier version an index."""
        indices = self.folder / "moments.lance" / "_indices"
        return has_lists(self.folder) or (indices.is_dir() and any(indices.iterdir()))

    def _counts(self) -> Mapping[str, int]:
        """How many moments each content has, orphans included."""
        known = self._known_now()
        return stored_counts(self._tables) if known is None else known.counts

    def _known_now(self) -> KnownRows | None:
        """What is known, if it is of the index that lies here, and of its newest version."""
        known = self._known
        is_now = known is not None and known.version == self.version()
        return known if is_now and self._known_of == identity(self.folder) else None

    @contextmanager
    def _writing(self, change: Callable[[KnownRows, str], KnownRows]) -> Iterator[None]:
        """A write after which what is known is known still, with a `change`, as of the version.

        Where others may write at the same time, or the write fails, it is read again.
        """
        known = self._known_now()
        self._known = None
        yield
        if known is not None and self._tables.has_one_writer:
            self._known = change(known, self.version())

    def _copy_rows(self) -> None:
        """The copy of the rows, which a status reads: what has changed since is added to it."""
        videos = self.videos()
        if (known := self._known) is None or self._is_mended:
            write_rows(self.folder, videos, version=self.version())
            self._is_mended = False
        else:
            update_rows(self.folder, known)
        self._known = known and known.copied()

    def _index(self) -> None:
        """Lists beside the tables, for searches among many moments."""
        from tempme.index.lists.upkeep import ListsSource, update_lists

        update_lists(self.folder, ListsSource(self, self.pieces), width=self.features)

    def _snapshot(self, versions: str | None) -> Gallery | None:
        return read_snapshot(
            self.folder,
            versions=versions,
            width=self.features,
            most_moments=max(self.index_from, ONCE_SCANNED),
        )

    def _check_not_lost(self) -> None:
        """BadIndex if there are moments and no table says of what."""
        if self._tables.exists("videos") or not self.num_moments():
            return
        time.sleep(FIRST_ROWS_SECONDS)  # a first run may be between its first moments and rows
        if not self._tables.exists("videos"):
            with reading(self._tables.shown, "videos.lance"):
                raise FileNotFoundError("is missing")

    def _copy(self) -> Copy | None:
        fresh = self._snapshot(self.version())
        if fresh is not None:
            return Copy(fresh, is_fresh=True)
        old = self._snapshot(None)
        return None if old is None else Copy(old, is_fresh=False)
