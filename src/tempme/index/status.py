"""What an index holds, in counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempme.index.building.scan import has_vanished
from tempme.index.header import Header
from tempme.index.lists.opened import reach_of
from tempme.index.moments import Video
from tempme.index.stores.milvus_server import SCHEMES
from tempme.index.stores.places import Place
from tempme.index.stores.row_copy import read_rows
from tempme.index.stores.store import Store
from tempme.uris import is_remote, uri_of

UNREAD = ("failed", "interrupted")


@dataclass(frozen=True)
class Status:
    """What an index holds. `failed` are the rows of videos that could not be read.

    `notes` are rows of videos that were read in part, `missing` the known files that are gone.
    Those of `failed` whose status is "interrupted" are tried again by the next run, as are
    `damaged` ones: rows that the index has lost, or whose moments it has lost. `size_bytes` is of
    all of it, or, as a Milvus server does not tell, of the copy on this machine (`is_copy`).
    `looked_at` is the share of the moments that a search compares with a query, 1 where it is all,
    `recall` how many of the ten nearest videos it found of that when the search lists were made;
    None where that was not measured.
    """

    path: Path | str
    model: str
    fingerprint: str
    frames: int
    every_seconds: float
    num_videos: int
    num_failed: int
    num_damaged: int
    num_moments: int
    duration_seconds: float
    size_bytes: int
    is_copy: bool
    codecs: dict[str, int]
    failed: tuple[Video, ...]
    damaged: tuple[Video, ...]
    notes: tuple[Video, ...]
    num_notes: int
    num_missing: int
    missing: tuple[Path, ...]
    looked_at: float = 1.0
    recall: float | None = None

    @classmethod
    def of(cls, path: Path, header: Header, store: Store, *, name: str) -> Status:
        """Counted from the index in the folder `path`, which a person calls `name`.

        The moments of equal files count once. BadIndex where there are moments and the rows that
        say of what are lost.
        """
        videos = read_rows(path, version=store.version())
        videos = store.videos() if videos is None else videos
        if not videos:
            store.gallery()  # says so
        good = [video for video in videos if video.status == "ok"]
        notes = tuple(video for video in good if video.reason)
        missing = tuple(video.path for video in videos if has_vanished(video.path))
        moments = {video.digest: video.num_moments for video in good}
        looked_at, recall = reach_of(path) or (1.0, None)
        return cls(
            path=path if name == str(path) else name,
            model=header.source,
            fingerprint=header.fingerprint,
            frames=header.frames,
            every_seconds=header.cutting.every_seconds,
            num_videos=len(good),
            num_failed=sum(video.status in UNREAD for video in videos),
            num_damaged=sum(video.status == "damaged" for video in videos),
            num_moments=sum(moments.values()),
            duration_seconds=sum(video.duration_seconds for video in good),
            size_bytes=_size(path, name),
            is_copy=name.partition("://")[0] in SCHEMES,
            codecs=dict(Counter(video.codec for video in good).most_common()),
            failed=tuple(video for video in videos if video.status in UNREAD),
            damaged=tuple(video for video in videos if video.status == "damaged"),
            notes=notes,
            num_notes=len(notes),
            num_missing=len(missing),
            missing=missing,
            looked_at=looked_at,
            recall=recall,
        )

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        plain = {**vars(self), "path": str(self.path)}
        for name in ("failed", "damaged", "notes"):
            plain[name] = [{"path": uri_of(v.path), "reason": v.reason} for v in plain[name]]
        plain["missing"] = [uri_of(path) for path in self.missing]
        return plain


def _size(folder: Path, name: str) -> int:
    """The bytes of an index: of its prefix in a bucket, or of its folder here."""
    if is_remote(name) and name.partition("://")[0] not in SCHEMES:
        return sum(listed.size_bytes for listed in Place.of(name).files())
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
