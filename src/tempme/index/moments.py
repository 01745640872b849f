"""What an index holds and what it answers: plain frozen values, free of any store."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tempme.uris import uri_of

Number = TypeVar("Number", bound=np.generic)
Status = Literal["ok", "failed", "interrupted", "damaged"]
Confidence = Literal["high", "medium", "low", "none"]
"""How sure it is that a hit shows what was asked for, see `tempme.index.confidence`."""


@dataclass(frozen=True)
class Video:
    """One file that the index knows, whether it could be read or not.

    `digest` names the content: two paths with equal content share one digest and one embedding.
    `status` "failed": the file cannot be read; "interrupted": reading it failed by no fault of the
    file (the system killed the process), so the next run tries again. `reason` says why; for an ok
    video it is a note ("truncated after 3.2 s").
    A row is "damaged" where the index has lost it or its moments: it is read as one, never written.
    `checksum` is that of its moments; empty where an older version wrote the row.
    """

    path: Path
    digest: str
    size_bytes: int
    mtime_ns: int
    duration_seconds: float = 0.0
    codec: str = ""
    width: int = 0
    height: int = 0
    num_moments: int = 0
    status: Status = "ok"
    reason: str = ""
    checksum: str = ""

    @property
    def may_pass(self) -> bool:
        """Whether another look may give more: nothing was wrong with the content, or none was read.

        Without a digest the file could not even be opened: a right, a disk, a network.
        """
        return self.status in ("interrupted", "damaged") or (
            self.status == "failed" and not self.digest
        )


@dataclass(frozen=True)
class Moments:
    """The windows of one content: `spans` (W, 2) seconds, `features` (W, D) unit rows."""

    digest: str
    spans: NDArray[np.float64]
    features: NDArray[np.float16]

    @property
    def checksum(self) -> str:
        """CRC-32 of the numbers in order of time: any one bit that changes, changes it."""
        order = np.argsort(self.spans[:, 0], kind="stable")
        state = crc32(np.ascontiguousarray(self.spans[order], "<f8").data)
        return f"{crc32(np.ascontiguousarray(self.features[order], '<f2').data, state):08x}"


@dataclass(frozen=True)
class Hit:
    """One answer. `score` is the cosine between the query and the moment, -1 to 1.

    `video_id` names the content, the same wherever the file lies; `confidence` says what the score
    is worth, "none" being that of a query which nothing matches.
    `paths` are all files with this content, `path` the first of them. A picture is a moment without
    length: it starts and ends at 0.
    """

    path: Path
    start_seconds: float
    end_seconds: float
    score: float
    video_id: str
    paths: tuple[Path, ...] = ()
    confidence: Confidence = "none"

    @property
    def moment_id(self) -> str:
        """Names the moment, the same in every index that is cut in the same way."""
        return moment_id(self.video_id, self.start_seconds, self.end_seconds)

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        return {
            "path": uri_of(self.path),
            "start_seconds": round(self.start_seconds, 3),
            "end_seconds": round(self.end_seconds, 3),
            "score": round(self.score, 4),
            "confidence": self.confidence,
            "video_id": self.video_id,
            "moment_id": self.moment_id,
            "paths": [uri_of(path) for path in self.paths or (self.path,)],
        }


def moment_id(video_id: str, start_seconds: float, end_seconds: float) -> str:
    """The content and its span in milliseconds: "8f1c...-12000-24000"."""
    return f"{video_id}-{round(1000 * start_seconds)}-{round(1000 * end_seconds)}"


@dataclass(frozen=True)
class Gallery:
    """All moments of an index in memory, ordered so that a video's moments are neighbours.

    `contents` are the digests in ascending order; moment i belongs to `contents[owner[i]]`;
    `first[j]` is the first moment of content j; `paths[j]` are the files that have content j.
    `left_out` are the files whose moments are damaged or lost, so that no search finds them.
    """

    contents: tuple[str, ...]
    paths: Sequence[tuple[Path, ...]]
    owner: NDArray[np.int64]
    spans: NDArray[np.float64]
    features: NDArray[np.float16]
    left_out: tuple[Path, ...] = ()

    @property
    def first(self) -> NDArray[np.int64]:
        """Row of the first moment of every content (every content has at least one)."""
        return np.searchsorted(self.owner, np.arange(len(self.contents)))

    def of(self, *contents: str) -> Gallery:
        """The moments of these contents alone; of one that is not there, none."""
        places = sorted({place for one in contents if (place := self._place(one)) >= 0})
        starts = np.searchsorted(self.owner, places).tolist()
        stops = np.searchsorted(self.owner, places, side="right").tolist()
        rows = [slice(*edges) for edges in zip(starts, stops, strict=True)] or [slice(0)]
        return Gallery(
            contents=tuple(self.contents[place] for place in places),
            paths=tuple(self.paths[place] for place in places),
            owner=np.repeat(np.arange(len(places)), np.subtract(stops, starts).astype(np.int64)),
            spans=_joined([self.spans[those] for those in rows]),
            features=_joined([self.features[those] for those in rows]),
        )

    def _place(self, content: str) -> int:
        """Where a content is among all; -1 where it is not."""
        place = bisect_left(self.contents, content)
        is_there = place < len(self.contents) and self.contents[place] == content
        return place if is_there else -1

    def content(self, place: int) -> Moments:
        """The moments of content `place`."""
        begin, end = np.searchsorted(self.owner, (place, place + 1))
        rows = slice(int(begin), int(end))
        return Moments(self.contents[place], self.spans[rows], self.features[rows])

    def __len__(self) -> int:
        return len(self.owner)


def _joined(parts: Sequence[NDArray[Number]]) -> NDArray[Number]:
    """One after the other; a single one as it is, not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
