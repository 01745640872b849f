"""The stages of a run on Ray: which actors there are, and what they hand on.

    files -> read: digest, decode (CPU actors) -> encode, write shard (CPU or GPU actors)

Between the two go pieces of videos at the size that the model sees, a few megabytes each, and Ray
holds readers back when encoders do not keep up. Where there is one core, one actor does both.
Shards are written where they are made; out come only counts. Ray starts anew what dies and gives it
its files again, of which those with a whole shard are passed over. Ray's own checkpoints are not
used: what is done is what has a shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempme.index.building.order import RunOrder
from tempme.index.building.scan import File
from tempme.index.header import Header
from tempme.index.shards.making import Outcome
from tempme.index.shards.ray_actors import (
    ITEM,
    EncodingActor,
    FileBatch,
    MakingActor,
    ReadingActor,
    packed,
    unpacked,
)
from tempme.index.shards.ray_metrics import RunMetrics
from tempme.index.shards.run import Todo

MEBIBYTE = 2**20
# What a call of a reader costs Ray, 10 ms in the driver, is shared by so many small files.
FILES_PER_BATCH, BATCH_BYTES = 16, 64 * MEBIBYTE
# So that no reader is left with much when the others have nothing more to do.
BATCHES_PER_READER = 4
PIECES_PER_BATCH = 1
# An actor works on a core and asks Ray for half of one: when half of the machines of a cluster are
# lost, those that are left have room for all actors, and the run goes on.
HELD = 0.5
MOST_BLOCKS = 10_000
BLOCK_BYTES = 32 * MEBIBYTE


@dataclass(frozen=True)
class RayTask:
    """A run as it is sent to a cluster: files, where their shards go, and how they are read.

    `scratch` is a folder for copies of objects, None for the usual one.
    """

    todo: Todo
    uri: str
    header: Header
    order: RunOrder
    size: int
    scratch: Path | None = None

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.todo.videos) + len(self.todo.pictures)


@dataclass(frozen=True)
class Sizes:
    """How many actors read and encode, and what of a machine each holds.

    Without an encoder, readers encode what they read.
    """

    readers: int
    encoders: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: Mapping[str, float], workers: int | None) -> Sizes:
        """For a cluster with these resources: a GPU each for encoders, or a share of the cores."""
        cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        encoders = gpus or (0 if cpus < 2 else max(1, cpus // 4))
        readers = workers or max(1, cpus - (0 if gpus else encoders))
        share = HELD * min(1.0, max(1, cpus) / (readers + encoders))
        return cls(readers, encoders, round(share, 3), 1.0 if gpus else 0.0)


def batches_of(todo: Todo, readers: int) -> Iterator[FileBatch]:
    """The files in order, some small ones or a large one together."""
    files = [*((one, False) for one in todo.videos), *((one, True) for one in todo.pictures)]
    most = max(1, min(FILES_PER_BATCH, len(files) // (BATCHES_PER_READER * readers)))
    batch: list[tuple[File, bool]] = []
    for one in files:
        size = sum(file.size_bytes for file, _ in batch) + one[0].size_bytes
        if batch and (len(batch) == most or size > BATCH_BYTES):
            yield _batch(batch)
            batch = []
        batch.append(one)
    if batch:
        yield _batch(batch)


def outcomes(ray: Any, task: RayTask) -> Iterator[list[Outcome]]:
    """What becomes of the files, some at a time, in a process that is part of the cluster."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    context.memory_usage_poll_interval_s = None  # nobody looks at it, and it takes its time
    sizes = Sizes.of(ray.cluster_resources(), task.order.workers)
    told = RunMetrics(
        ray.util.metrics,
        files=task.files,
        readers=sizes.readers,
        encoders=sizes.encoders or sizes.readers,
    )
    batches = _stages(ray.data, task, sizes).iter_batches(
        batch_size=None, batch_format="numpy", prefetch_batches=0
    )
    for batch in batches:
        made = list(told.watched(unpacked(batch)))
        yield [_by_actor(each, sizes) for each in made]


def _by_actor(made: Outcome, sizes: Sizes) -> Outcome:
    """With the seconds of a stage shared by its actors, which work at once."""
    return replace(
        made,
        decode_seconds=made.decode_seconds / sizes.readers,
        encode_seconds=made.encode_seconds / (sizes.encoders or sizes.readers),
    )


def _stages(data: Any, task: RayTask, sizes: Sizes) -> Any:
    batches = packed(batches_of(task.todo, sizes.readers))[ITEM]
    blocks = max(1, min(len(batches), MOST_BLOCKS))
    read = data.from_items(list(batches), override_num_blocks=blocks)
    reading = {"uri": task.uri, "header": task.header, "order": task.order}
    reading |= {"size": task.size, "scratch": task.scratch}
    threads = {"threads": task.order.threads or 1}
    if not sizes.encoders:
        return _stage(read, data, MakingActor, {**reading, **threads}, sizes.readers, sizes.cpus)
    read = _stage(read, data, ReadingActor, reading, sizes.readers, sizes.cpus)
    encoding = {"uri": task.uri, "header": task.header, **threads}
    return _stage(
        read, data, EncodingActor, encoding, sizes.encoders, sizes.cpus, num_gpus=sizes.gpus
    )


def _stage(
    rows: Any,
    data: Any,
    actor: type,
    settings: Mapping[str, Any],
    number: int,
    cpus: float,
    **others: Any,
) -> Any:
    return rows.map_batches(
        actor,
        batch_size=PIECES_PER_BATCH,
        batch_format="numpy",
        compute=data.ActorPoolStrategy(size=number),
        num_cpus=cpus,
        fn_constructor_kwargs=dict(settings),
        **others,
    )


def _batch(files: list[tuple[File, bool]]) -> FileBatch:
    return FileBatch(
        tuple(file for file, is_picture in files if not is_picture),
        tuple(file for file, is_picture in files if is_picture),
    )
