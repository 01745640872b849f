"""What the two tables hold, as values, each row and each content held against its checksum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tempme.index.moments import Gallery, Video
from tempme.index.stores.damage import divide
from tempme.index.stores.failures import reading
from tempme.index.stores.rows import RowsRead, counts_from, empty_gallery, gallery_from, videos_from
from tempme.index.stores.tables import Tables


def stored_videos(
    tables: Tables, only: Collection[str] | None = None, *, known: RowsRead | None = None
) -> list[Video]:
    """The rows of videos, or of `only` these contents; one that has changed is "damaged".

    known: takes from what was read before what is still the same.
    """
    with reading(tables.shown, "videos.lance"):
        rows = tables.rows("videos", "digest", only)
        return videos_from(rows) if known is None else known.videos(rows)


def stored_counts(tables: Tables) -> dict[str, int]:
    """How many moments each content has."""
    with reading(tables.shown, "moments.lance"):
        return counts_from(tables.column("moments", "video"))


def stored_gallery(
    tables: Tables, only: Collection[str] | None = None
) -> tuple[Gallery, list[Video]]:
    """The moments of all contents, or of `only` these, and the rows of what is left out of them."""

    def moments(good: Sequence[Video]) -> Any:
        digests = {row.digest for row in good}
        return tables.rows("moments", "video", None if only is None else digests)

    with reading(tables.shown, "moments.lance"):
        return gallery_of(stored_videos(tables, only), moments, width=tables.features)


def gallery_of(
    rows: Sequence[Video], moments: Callable[[Sequence[Video]], Any], *, width: int
) -> tuple[Gallery, list[Video]]:
    """The moments of the contents of rows, and the rows of those that are damaged or lost.

    moments: the table of moments of the contents of these rows, asked for if there are any.
    """
    good = [row for row in rows if row.status == "ok"]
    damaged = [row for row in rows if row.status == "damaged"]
    paths: dict[str, list[Path]] = {}
    for row in good:
        paths.setdefault(row.digest, []).append(row.path)
    gallery = empty_gallery(width)
    if paths:
        gallery, lost = divide(gallery_from(moments(good), paths, width=width), good)
        damaged += lost
    left_out = tuple(sorted(row.path for row in damaged))
    return replace(gallery, left_out=left_out), damaged
