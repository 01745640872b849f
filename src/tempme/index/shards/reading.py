"""Files -> what was read of each, or why not: what a decode worker does, wherever it runs.

No PyTorch is loaded here. What is done already is not read again: the digest of a file is taken
first, and where its shard is whole, that is all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tempme.index.building.digests import CHANGED, Identified, is_still
from tempme.index.building.order import RunOrder
from tempme.index.building.pictures import Picture, read_pictures
from tempme.index.building.scan import File
from tempme.index.header import Header
from tempme.index.shards.fetching import Copies
from tempme.index.shards.parts import new_attempt
from tempme.index.shards.shards import Shards
from tempme.index.shards.sightings import Sighting
from tempme.uris import is_remote
from tempme.video import Failure, Reading, VideoInfo, VideoWindows

Decode: TypeAlias = Callable[[Iterator[Path]], Generator[tuple[Path, VideoWindows | Failure]]]


@dataclass(frozen=True, eq=False)
class Read:
    """A file that was seen, and a piece of it; `found` None where its content needs no reading.

    `attempt` names one reading of a content, whose pieces belong together.
    """

    item: Identified
    found: VideoWindows | Failure | None = None
    attempt: str = ""

    @property
    def sighting(self) -> Sighting:
        """What to note of the file."""
        file, reason = self.item.file, self.item.reason
        return Sighting(
            file.path, self.item.digest, file.size_bytes, file.mtime_ns, time.time_ns(), reason
        )


@dataclass
class _Flight:
    """Files of one call that are being read, and what needed no reading."""

    copies: Copies
    items: dict[Path, tuple[Identified, str]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    known: deque[Read] = field(default_factory=deque)

    def drained(self) -> Iterator[Read]:
        while self.known:
            yield self.known.popleft()


def read_files(
    videos: Sequence[File],
    pictures: Sequence[File],
    shards: Shards,
    decode: Decode,
    *,
    size: int,
    scratch: Path | None = None,
) -> Generator[Read]:
    """What is new in files, piece by piece; every file is closed once.

    `decode` reads videos, `size` is the side of a picture in pixels. Objects of a bucket are
    brought to a folder below `scratch` while they are read.
    """
    flight = _Flight(Copies(scratch))
    try:
        yield from _read(videos, pictures, shards, decode, size, flight)
    finally:
        flight.copies.close()


def _read(
    videos: Sequence[File],
    pictures: Sequence[File],
    shards: Shards,
    decode: Decode,
    size: int,
    flight: _Flight,
) -> Generator[Read]:
    copies = flight.copies
    yield from _read_pictures(_new(pictures, shards, flight), shards, size, copies)
    answers = decode(copies.place(item.file.path) for item in _new(videos, shards, flight))
    try:
        for path, answer in answers:
            yield from flight.drained()
            item, attempt = flight.items[path]
            closes = isinstance(answer, Failure) or answer.is_last
            if isinstance(answer, Failure):
                answer = replace(answer, path=item.file.path)
            if closes and not is_remote(item.file.path) and not is_still(item):
                item = replace(item, digest="", reason=CHANGED)
                answer = Failure(path, CHANGED, is_transient=True)
            if closes:
                copies.let_go(item.file.path)
            yield Read(item, answer, attempt)
            del answer
    finally:
        copies.stop()
        answers.close()
    yield from flight.drained()


def _new(files: Iterable[File], shards: Shards, flight: _Flight) -> Iterator[Identified]:
    """The files whose content is new; the others are known on the way."""
    for item in flight.copies.identified(files):
        digest = item.digest
        if item.reason or digest in flight.begun or shards.is_done(digest):
            flight.copies.let_go(item.file.path)
            flight.known.append(Read(item))
        else:
            flight.begun.add(digest)
            flight.items[flight.copies.place(item.file.path)] = (item, new_attempt())
            yield item


def _read_pictures(
    items: Iterable[Identified], shards: Shards, size: int, copies: Copies
) -> Iterator[Read]:
    header = shards.header
    here = (replace(one, file=_at(one.file, copies.place(one.file.path))) for one in items)
    for batch in read_pictures(here, size, header.cutting.fit):
        for read, answer in batch:
            item = replace(read, file=_at(read.file, copies.owner(read.file.path)))
            copies.let_go(item.file.path)
            if isinstance(answer, Picture):
                yield Read(item, _still(answer, header.frames), new_attempt())
            else:
                yield Read(item, answer, new_attempt())


def _at(file: File, path: Path) -> File:
    return replace(file, path=path)


def _still(picture: Picture, frames: int) -> VideoWindows:
    """A picture is a video of one window, without length, in which nothing moves."""
    path = picture.item.file.path
    info = VideoInfo(
        path=path,
        duration_seconds=0.0,
        width=picture.width,
        height=picture.height,
        fps=0.0,
        codec=picture.codec,
        container="",
        num_frames=1,
        num_keyframes=1,
        rotation_degrees=0,
    )
    return VideoWindows(
        pixels=picture.pixels[None],
        seconds=np.zeros(1),
        windows=np.zeros((1, frames), dtype=np.int64),
        spans=np.zeros((1, 2)),
        info=info,
    )


def reading_of(header: Header, order: RunOrder, *, size: int, **others: int) -> Reading:
    """How the videos of these shards are read."""
    return header.cutting.reading(
        frames=header.frames,
        size=size,
        timeout_seconds=order.timeout_seconds,
        total_seconds=order.total_seconds,
        **others,
    )
