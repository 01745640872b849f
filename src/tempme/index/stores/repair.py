"""Finding what is damaged in an index, and taking it out, so that it can be embedded again.

The snapshot is a second copy of all moments, and of which file has which: what the tables have lost
comes back from it. A large index has none; which files it had, the copy of its rows still says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.errors import BadIndex
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.contents import stored_counts, stored_gallery, stored_videos
from tempme.index.stores.damage import MOMENTS_DAMAGED, MOMENTS_LOST, ROW_LOST, Damage
from tempme.index.stores.failures import cause
from tempme.index.stores.rows import moment_rows, video_rows
from tempme.index.stores.tables import Tables

OF_MOMENTS = (MOMENTS_LOST, MOMENTS_DAMAGED)


@dataclass(frozen=True)
class Copy:
    """The snapshot, and whether it is of the version that the tables have."""

    gallery: Gallery
    is_fresh: bool


def damage_to(tables: Tables, copy: Copy | None, listed: Sequence[Video] = ()) -> Damage:
    """What is damaged, after a look at every row and every moment.

    `listed` are rows as some version had them: the files of an index whose table of them is lost.
    """
    unreadable: dict[str, str] = {}
    rows: list[Video] = []
    found: list[Video] = []
    try:
        rows = stored_videos(tables)
    except BadIndex as error:
        unreadable["videos"] = cause(error.__cause__ or error)
    is_missing = not unreadable and not tables.exists("videos")
    try:
        if stored_counts(tables) and is_missing:
            unreadable["videos"] = "is missing"
        found = [] if unreadable else stored_gallery(tables)[1]
    except BadIndex as error:
        unreadable["moments"] = cause(error.__cause__ or error)
    is_lost = is_missing or "videos" in unreadable
    if copy is not None and (copy.is_fresh or is_lost):
        found += _lost_rows(rows, copy.gallery)
    if is_lost:
        known = {row.path for row in found}
        found += [_lost(row.path, row.digest) for row in listed if row.path not in known]
    return Damage(tuple(sorted(found, key=lambda row: row.path)), unreadable)


def remove_damaged(tables: Tables, damage: Damage, copy: Copy | None) -> None:
    """Take out what is damaged, and put in what the snapshot still has of it."""
    if "videos" in damage.unreadable:
        tables.begin_again("videos", video_rows([]))
    elif any(row.reason not in (*OF_MOMENTS, ROW_LOST) for row in damage.videos):
        sound = [row for row in stored_videos(tables) if row.status != "damaged"]
        tables.replace("videos", video_rows(sound))
    saved = _saved(stored_videos(tables), copy)
    wanted = {row.digest for row in damage.videos if row.reason in OF_MOMENTS}
    if "moments" in damage.unreadable:
        tables.begin_again("moments", moment_rows([], width=tables.features))
        wanted = set(saved)
    else:
        tables.delete("moments", "video", wanted)
    again = [saved[digest] for digest in sorted(wanted & saved.keys())]
    if again:
        tables.insert("moments", moment_rows(again, width=tables.features))


def _lost_rows(rows: Sequence[Video], gallery: Gallery) -> list[Video]:
    """Rows of files that the snapshot knows and the table does not."""
    known = {row.path for row in rows if row.status != "damaged"}
    return [
        _lost(path, digest)
        for digest, paths in zip(gallery.contents, gallery.paths, strict=True)
        for path in paths
        if path not in known
    ]


def _lost(path: Path, digest: str) -> Video:
    return Video(path, digest, 0, 0, status="damaged", reason=ROW_LOST)


def _saved(rows: Sequence[Video], copy: Copy | None) -> dict[str, Moments]:
    """The contents of the snapshot that are as the rows say."""
    if copy is None:
        return {}
    sums = {row.digest: row.checksum for row in rows if row.status == "ok" and row.checksum}
    contents = (copy.gallery.content(i) for i in range(len(copy.gallery.contents)))
    return {one.digest: one for one in contents if one.checksum == sums.get(one.digest)}
