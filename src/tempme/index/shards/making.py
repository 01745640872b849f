"""What was read -> shards: what an encode worker does, wherever it runs.

It holds nothing between two calls: of a film in several pieces, each goes into the place of the
shards, and whoever brings the one that was missing puts them together. So any worker takes any
piece, and one that dies takes no other's work with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.encode import Encoder, encode_windows, join_batches, why_unusable
from tempme.index.building.ledger import failed_row
from tempme.index.moments import Moments, Video
from tempme.index.shards.parts import FilmPart, Whole, drop_parts, joined, write_part
from tempme.index.shards.reading import Read
from tempme.index.shards.shard import VideoShard
from tempme.index.shards.shards import Shards
from tempme.index.shards.sightings import Sighting
from tempme.video import Failure, VideoWindows

NO_FEATURE = "the model gave no usable feature ({}) for it"


@dataclass(frozen=True)
class Outcome:
    """What became of a file, or, where `sighting` is None, of a piece of one.

    `kind`: "new", "known" (its shard was there), "failed", "piece". `note` is why it failed, or
    what there is to say of it.
    """

    kind: str
    sighting: Sighting | None = None
    note: str = ""
    windows: int = 0
    decode_seconds: float = 0.0
    encode_seconds: float = 0.0


class Maker:
    """Makes shards of what was read, with a model."""

    def __init__(self, shards: Shards, retriever: Encoder) -> None:
        self.shards, self.retriever = shards, retriever

    def take(self, read: Read) -> Outcome:
        """Encode a piece, and write a shard where it completes one."""
        found = read.found
        if found is None:
            kind = "failed" if read.item.reason else "known"
            return Outcome(kind, read.sighting, read.item.reason)
        if isinstance(found, Failure):
            return self._fail(read, found)
        begin = time.monotonic()
        features = encode_windows(self.retriever, found.pixels, windows=found.windows)
        seconds = time.monotonic() - begin
        stored = join_batches([features])
        whole = self._whole(read, found, stored)
        if whole is None:
            return Outcome("piece", windows=len(found.spans), encode_seconds=seconds)
        made = self._finish(read, whole)
        if not (found.piece == 0 and found.is_last):
            drop_parts(self.shards.place, read.attempt)
        return replace(made, windows=len(found.spans), encode_seconds=seconds)

    def _whole(self, read: Read, piece: VideoWindows, stored: NDArray[np.float16]) -> Whole | None:
        """All of the video, if this piece was the one that was missing."""
        row = _row(read, piece)
        if piece.piece == 0 and piece.is_last:
            return Whole(row, piece.spans, stored)
        part = FilmPart(piece.piece, Whole(row, piece.spans, stored), is_last=piece.is_last)
        write_part(self.shards.place, read.attempt, part)
        return joined(self.shards.place, read.attempt)

    def _finish(self, read: Read, whole: Whole) -> Outcome:
        if problem := why_unusable(whole.features):
            return self._fail(read, Failure(whole.row.path, NO_FEATURE.format(problem)))
        moments = Moments(read.item.digest, whole.spans, whole.features)
        row = replace(whole.row, num_moments=len(whole.spans), checksum=moments.checksum)
        self.shards.write(VideoShard(self.shards.recipe, row, moments))
        return Outcome("new", read.sighting, row.reason)

    def _fail(self, read: Read, failure: Failure) -> Outcome:
        """A file that gave nothing is done, too, unless it was not to blame."""
        item = read.item
        if item.digest and not failure.is_transient:
            row = failed_row(item.file, item.digest, failure.reason)
            self.shards.write(VideoShard(self.shards.recipe, row))
        seen = read.sighting
        if failure.is_transient:
            seen = replace(seen, reason=failure.reason)
        return Outcome("failed", seen, failure.reason)


def _row(read: Read, piece: VideoWindows) -> Video:
    file = read.item.file
    return Video(
        path=file.path,
        digest=read.item.digest,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        duration_seconds=piece.info.duration_seconds,
        codec=piece.info.codec,
        width=piece.info.width,
        height=piece.info.height,
        reason=piece.note,
    )
