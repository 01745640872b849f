"""What an index has lost: contents whose moments are absent, incomplete or changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tempme.index.moments import Gallery, Moments, Video
from tempme.uris import uri_of

MOMENTS_LOST = "its moments in the index are lost"
MOMENTS_DAMAGED = "its moments in the index are damaged"
ROW_LOST = "its row in the index is lost"
# Half precision and an orderly model keep features near length 1; beyond lies no feature.
SHORTEST, LONGEST = 0.5, 1.5


@dataclass(frozen=True)
class Damage:
    """What a look at every row and moment found: rows that are "damaged", and why each is.

    `unreadable` are the tables that cannot be read at all, with the cause; `model` says why the
    model that the index keeps cannot be loaded.
    """

    videos: tuple[Video, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    def __bool__(self) -> bool:
        return bool(self.videos or self.unreadable or self.model)

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        videos = [{"path": uri_of(row.path), "reason": row.reason} for row in self.videos]
        return {"damaged": videos, "unreadable": dict(self.unreadable), "model": self.model}


def with_lost(videos: Iterable[Video], counts: Mapping[str, int]) -> list[Video]:
    """The rows, "damaged" where not all moments of an ok video are there, or some are twice.

    `counts` are the moments of each content.
    """
    return [
        _damaged(video, MOMENTS_LOST)
        if video.status == "ok" and counts.get(video.digest, 0) != video.num_moments
        else video
        for video in videos
    ]


def divide(gallery: Gallery, videos: Sequence[Video]) -> tuple[Gallery, list[Video]]:
    """The gallery of the contents that are as their rows say, and the rows of the others.

    `videos` are the ok rows. A content that the gallery lacks altogether is among the others.
    """
    rows = {video.digest: video for video in videos}
    places = range(len(gallery.contents))
    good = [i for i in places if _is_as_written(gallery.content(i), rows[gallery.contents[i]])]
    sound = {gallery.contents[place] for place in good}
    present = set(gallery.contents)
    damaged = [
        _damaged(video, MOMENTS_DAMAGED if video.digest in present else MOMENTS_LOST)
        for video in videos
        if video.num_moments and video.digest not in sound
    ]
    return (gallery if len(good) == len(places) else part_of(gallery, good)), damaged


def part_of(gallery: Gallery, places: Sequence[int]) -> Gallery:
    """The gallery of the contents at these places, in order."""
    kept = np.isin(gallery.owner, places)
    return replace(
        gallery,
        contents=tuple(gallery.contents[place] for place in places),
        paths=tuple(gallery.paths[place] for place in places),
        owner=np.searchsorted(places, gallery.owner[kept]),
        spans=gallery.spans[kept],
        features=gallery.features[kept],
    )


def is_possible(moments: Moments) -> bool:
    """Whether these can be moments at all: times in order, features of about length 1."""
    start, end = moments.spans[:, 0], moments.spans[:, 1]
    lengths = np.linalg.norm(moments.features.astype(np.float32), axis=1)
    times = np.isfinite(moments.spans).all() and (start >= 0).all() and (start <= end).all()
    return bool(times and ((lengths > SHORTEST) & (lengths < LONGEST)).all())


def _is_as_written(moments: Moments, row: Video) -> bool:
    if len(moments.spans) != row.num_moments:
        return False
    if row.checksum:
        return moments.checksum == row.checksum
    return is_possible(moments)


def _damaged(video: Video, why: str) -> Video:
    return replace(video, status="damaged", reason=why)
