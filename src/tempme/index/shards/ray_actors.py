"""What actors of Ray do: some read files, some encode what was read, or one does both.

They are given rows of a table with one column of bytes, and give such rows: Ray splits and joins
tables as it likes, and never sees what is in them.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tempme.index.building.order import RunOrder
from tempme.index.building.scan import File
from tempme.index.header import Header
from tempme.index.shards.making import Maker, Outcome
from tempme.index.shards.reading import Read, read_files, reading_of
from tempme.index.shards.shards import Shards
from tempme.index.shards.standing import StandingDecoder
from tempme.index.stores.places import Place

# Of a film so many windows travel together: 15 MB at 224 pixels.
PIECE_WINDOWS = 16
ITEM = "item"


@dataclass(frozen=True)
class FileBatch:
    """Files that one actor reads in a call."""

    videos: tuple[File, ...]
    pictures: tuple[File, ...]


class ReadingActor:
    """An actor that reads files; it never loads PyTorch."""

    def __init__(
        self, uri: str, header: Header, order: RunOrder, size: int, scratch: Path | None
    ) -> None:
        self._shards, self._size = Shards(Place(uri), header), size
        self._scratch = scratch
        reading = reading_of(header, order, size=size)
        pieces = min(PIECE_WINDOWS, reading.piece_windows)
        self._decode = StandingDecoder(
            replace(reading, piece_windows=pieces), worker_memory_mb=order.worker_memory_mb
        )

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Files in, what was read of them out, a piece at a time, with the seconds it took."""
        for read in self.read(batch):
            yield packed([read])

    def read(self, batch: Mapping[str, Any]) -> Iterator[tuple[Read, float]]:
        """The same, as what it is."""
        for files in unpacked(batch):
            begin = time.monotonic()
            for read in read_files(
                files.videos,
                files.pictures,
                self._shards,
                self._decode,
                size=self._size,
                scratch=self._scratch,
            ):
                yield read, time.monotonic() - begin
                del read
                begin = time.monotonic()


class EncodingActor:
    """An actor that encodes pieces and writes shards."""

    def __init__(self, uri: str, header: Header, threads: int) -> None:
        self._maker = _maker(uri, header, threads)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What was read in, what became of it out."""
        return packed(_made(self._maker, read, seconds) for read, seconds in unpacked(batch))


class MakingActor:
    """An actor that reads files and encodes them, where one core does both in turns anyway.

    So no pixels travel, and one process fewer has to be started and looked after.
    """

    def __init__(
        self,
        uri: str,
        header: Header,
        order: RunOrder,
        size: int,
        scratch: Path | None,
        threads: int,
    ) -> None:
        self._reading = ReadingActor(uri, header, order, size, scratch)
        self._maker = _maker(uri, header, threads)

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Files in, what became of them out."""
        for read, seconds in self._reading.read(batch):
            yield packed([_made(self._maker, read, seconds)])
            del read


def packed(values: Iterable[object]) -> dict[str, Any]:
    """Rows of a table."""
    rows = [pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for value in values]
    column = np.empty(len(rows), dtype=object)
    column[:] = rows
    return {ITEM: column}


def unpacked(batch: Mapping[str, Any]) -> Iterator[Any]:
    """What a stage of this run packed; nobody else writes to the store of the cluster."""
    return (pickle.loads(row) for row in batch[ITEM])


def _maker(uri: str, header: Header, threads: int) -> Maker:
    import torch

    from tempme.index.shards.opening import index_of

    torch.set_num_threads(threads)
    shards = Shards(Place(uri), header)
    return Maker(shards, index_of(shards).retriever)


def _made(maker: Maker, read: Read, seconds: float) -> Outcome:
    return replace(maker.take(read), decode_seconds=seconds)
