"""All moments of a store in pieces, each content whole: a million need not be in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tempme.index.moments import Gallery, Video
from tempme.index.stores.contents import stored_videos
from tempme.index.stores.damage import divide
from tempme.index.stores.failures import reading
from tempme.index.stores.rows import empty_gallery, gallery_from
from tempme.index.stores.tables import Tables

ROWS_AT_ONCE, CONTENTS_AT_ONCE = 65_536, 500


def pieces_of(
    rows: Sequence[Video], gallery: Callable[[Sequence[str]], Gallery], *, width: int
) -> Iterator[Gallery]:
    """The moments of the contents of these rows, some hundred contents at a time, by `gallery`."""
    names = sorted({row.digest for row in rows if row.status == "ok" and row.num_moments})
    for start in range(0, len(names), CONTENTS_AT_ONCE):
        yield gallery(names[start : start + CONTENTS_AT_ONCE])
    damaged = sorted(row.path for row in rows if row.status == "damaged")
    yield replace(empty_gallery(width), left_out=tuple(damaged))


def gallery_pieces(tables: Tables) -> Iterator[Gallery]:
    """The moments of all contents that are as their rows say, then what is left out of them.

    A content whose rows are torn apart waits until all of them have come.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = stored_videos(tables)
    good = {row.digest: row for row in rows if row.status == "ok"}
    paths: dict[str, list[Path]] = {}
    for row in rows:
        if row.status == "ok":
            paths.setdefault(row.digest, []).append(row.path)
    missing, pending = set(paths), None
    for piece in tables.stream("moments", rows=ROWS_AT_ONCE):
        table = piece if pending is None else pa.concat_tables([pending, piece])
        with reading(tables.folder, "moments.lance"):
            gallery = gallery_from(table, paths, width=tables.features)
            sound, _ = divide(gallery, [good[digest] for digest in gallery.contents])
            missing.difference_update(sound.contents)
            waiting = pc.is_in(table["video"], pa.array(sorted(missing), pa.utf8()))
            pending = table.filter(waiting)
        yield sound
    left_out = {row.path for row in rows if row.status == "damaged"}
    left_out.update(
        path for digest in missing for path in paths[digest] if good[digest].num_moments
    )
    yield replace(empty_gallery(tables.features), left_out=tuple(sorted(left_out)))
