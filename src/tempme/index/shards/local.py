"""The work of a run on this machine: processes that decode, and the model here."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

from tempme.index.building.encode import Encoder
from tempme.index.building.order import RunOrder
from tempme.index.shards.making import Maker, Outcome
from tempme.index.shards.reading import read_files, reading_of
from tempme.index.shards.run import Todo
from tempme.index.shards.shards import Shards
from tempme.processes.cores import sharing_cores
from tempme.video import Failure, VideoWindows, decode_many


def locally(
    shards: Shards, model: Callable[[], Encoder], order: RunOrder
) -> Callable[[Todo], Generator[Outcome]]:
    """The work that decodes in processes of this machine and encodes in this one, with a model."""

    def work(todo: Todo) -> Generator[Outcome]:
        retriever = model()
        maker = Maker(shards, retriever)
        size = retriever.image_size
        reading = reading_of(shards.header, order, size=size)

        def decode(paths: Iterator[Path]) -> Generator[tuple[Path, VideoWindows | Failure]]:
            return decode_many(
                paths, reading, workers=order.workers, worker_memory_mb=order.worker_memory_mb
            )

        reads = read_files(todo.videos, todo.pictures, shards, decode, size=size)
        begin = time.monotonic()
        for read in sharing_cores(reads, threads=order.threads):
            waited = time.monotonic() - begin
            yield replace(maker.take(read), decode_seconds=waited)
            del read
            begin = time.monotonic()

    return work
