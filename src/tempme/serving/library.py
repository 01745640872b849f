"""The rows of an index by id, read again as soon as any process has written to it."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.errors import TempmeError
from tempme.index import Index
from tempme.index.header import read_header
from tempme.index.moments import Gallery, Video, moment_id
from tempme.serving.filters import admitted, is_any
from tempme.serving.problems import Problem
from tempme.serving.schema import Filters
from tempme.uris import is_remote, uri_of

VIDEO_ID = re.compile(r"[0-9a-f]{32}")
MOMENT_ID = re.compile(r"([0-9a-f]{32})-(\d{1,12})-(\d{1,12})")
NOTHING = Gallery((), (), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 0), np.float16))
KEPT = 512
KEPT_FILTERS = 16


@dataclass(frozen=True, eq=False)
class IndexedMoment:
    """A moment of the index: the content it is of, its windows there, its span in seconds.

    A window, or a run of windows that showed the same to a search.
    """

    video: Video
    rows: NDArray[np.int64]
    start_seconds: float
    end_seconds: float

    @property
    def id(self) -> str:
        """As in `Hit`."""
        return moment_id(self.video.digest, self.start_seconds, self.end_seconds)


@dataclass(frozen=True)
class Shelf:
    """All videos of one version of an index, those of one content together by its id."""

    version: str
    videos: tuple[Video, ...]
    by_id: dict[str, tuple[Video, ...]]

    @cached_property
    def good(self) -> tuple[Video, ...]:
        """The videos that could be read."""
        return tuple(video for video in self.videos if video.status == "ok")

    def copies(self, video_id: str) -> tuple[Video, ...]:
        """The files with this content; Problem if there is none."""
        found = self.by_id.get(video_id)
        if not found:
            raise Problem(
                404,
                "no-such-video",
                "no video of the index has this id; it may have been removed or changed since: "
                "search again, or see /v1/videos",
            )
        return found

    def folders(self) -> tuple[Path, ...]:
        """The folders in which the videos lie, without those below another of them."""
        folders = sorted({video.path.parent for video in self.videos})
        return tuple(f for f in folders if not any(f.is_relative_to(o) for o in folders if o != f))


@dataclass(frozen=True)
class Admitted:
    """The videos that could be read and fit all filters; `paths` where anything is filtered."""

    videos: tuple[Video, ...]
    paths: frozenset[Path] | None = None


class Library:
    """What is on the shelf now. Safe to use from several threads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._shelf: Shelf | None = None
        self._galleries: OrderedDict[tuple[str, str], Gallery] = OrderedDict()
        self._admitted: OrderedDict[tuple[str, str], Admitted] = OrderedDict()
        self._lock = threading.Lock()

    def shelf(self) -> Shelf:
        """The rows of the newest version; Problem or BadIndex if the index is no longer there."""
        version = self._index.version()
        with self._lock:
            if self._shelf is None or self._shelf.version != version:
                self._check_same()
                self._shelf = _shelf(version, self._index.videos())
            return self._shelf

    @property
    def is_there(self) -> bool:
        """Whether the index can be read."""
        try:
            self.shelf()
        except TempmeError:
            return False
        return True

    def _check_same(self) -> None:
        now, served = read_header(self._index.path), self._index.header
        # A newer version may have given it the fingerprint that it reckons with.
        is_same = now.fingerprint in (served.fingerprint, self._index.retriever.fingerprint)
        if not (is_same and (now.features, now.cutting) == (served.features, served.cutting)):
            raise Problem(
                503,
                "other-index",
                f"{self._index.path} is another index now, of the model {now.source}: start the "
                "service again",
            )

    def admitted(self, filters: Filters) -> Admitted:
        """What fits all filters, remembered for the newest of them."""
        shelf = self.shelf()
        if not is_any(filters):
            return Admitted(shelf.good)
        key = (shelf.version, filters.model_dump_json())
        with self._lock:
            known = self._admitted.get(key)
        if known is None:
            fitting = tuple(admitted(shelf.good, filters))
            known = Admitted(fitting, frozenset(video.path for video in fitting))
        with self._lock:
            self._admitted[key] = known
            self._admitted.move_to_end(key)
            while len(self._admitted) > KEPT_FILTERS:
                self._admitted.popitem(last=False)
        return known

    def copies(self, video_id: str) -> tuple[Video, ...]:
        """The files with this content; Problem if there is none."""
        return self.shelf().copies(video_id)

    def file_of(self, video_id: str) -> Video:
        """A file with this content that is there to be read; Problem if none is."""
        copies = self.copies(video_id)
        for video in copies:
            if _is_as_indexed(video):
                return video
        uri = uri_of(copies[0].path)
        why = "is gone, has changed or may not be read: index its folder again"
        if is_remote(uri):
            why = "is in a bucket, from which nothing is played: open it with a tool for S3"
        raise Problem(410, "file-gone", f"{uri} {why}")

    def gallery(self, video_id: str) -> Gallery:
        """The moments of a content in order of time; Problem if there is no such content."""
        shelf = self.shelf()
        shelf.copies(video_id)
        return self.galleries([video_id], shelf)[video_id]

    def galleries(self, video_ids: Sequence[str], shelf: Shelf) -> dict[str, Gallery]:
        """The moments of contents, each by its id, read together.

        They are those of `shelf`, or of what has been written since; what is gone has none.
        """
        with self._lock:
            known = {one: self._galleries.get((shelf.version, one)) for one in video_ids}
        missing = [one for one, gallery in known.items() if gallery is None]
        # Read without the lock: others need not wait for it.
        read = self._index.moments_of(*missing) if missing else NOTHING
        found = {
            one: read.of(one) if gallery is None else gallery for one, gallery in known.items()
        }
        with self._lock:
            for one, gallery in found.items():
                self._galleries[shelf.version, one] = gallery
                self._galleries.move_to_end((shelf.version, one))
            while len(self._galleries) > KEPT:
                self._galleries.popitem(last=False)
        return found

    def moment(self, wanted: str) -> IndexedMoment:
        """The moment with this id; Problem if the index has none."""
        found = MOMENT_ID.fullmatch(wanted)
        if found is not None and found[1] in self.shelf().by_id:
            start, end = int(found[2]), int(found[3])
            spans = np.round(self.gallery(found[1]).spans * 1000).astype(np.int64)
            is_within = (spans[:, 0] >= start) & (spans[:, 1] <= end)
            rows = np.flatnonzero(is_within)
            if len(rows) and (spans[rows, 0].min(), spans[rows, 1].max()) == (start, end):
                return IndexedMoment(self.copies(found[1])[0], rows, start / 1000, end / 1000)
        raise Problem(
            404,
            "no-such-moment",
            "no moment of the index has this id; it may have been removed since: search again",
        )

    def feature(self, moment: IndexedMoment) -> NDArray[np.float32]:
        """What a moment looks like, (1, D): the mean of the windows in it, of unit length."""
        rows = self.gallery(moment.video.digest).features[moment.rows].astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-6)
        mean = rows.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean).clip(1e-6), dtype=np.float32)[None]


def _shelf(version: str, videos: Sequence[Video]) -> Shelf:
    by_id: dict[str, tuple[Video, ...]] = {}
    for video in videos:
        if video.status == "ok":
            by_id[video.digest] = (*by_id.get(video.digest, ()), video)
    return Shelf(version, tuple(videos), by_id)


def _is_as_indexed(video: Video) -> bool:
    """Whether an ordinary file lies there as it was seen; a link put in its place is not it."""
    try:
        about = os.lstat(video.path)
        real = os.path.realpath(video.path) == str(video.path)
    except (OSError, ValueError):
        return False
    is_same = (about.st_size, about.st_mtime_ns) == (video.size_bytes, video.mtime_ns)
    return stat.S_ISREG(about.st_mode) and real and is_same and os.access(video.path, os.R_OK)
