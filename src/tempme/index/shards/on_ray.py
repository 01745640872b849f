"""The work of a run on Ray: files are read in some actors and encoded in others.

    files -> read: digest, decode (CPU actors) -> encode, write shard (CPU or GPU actors) -> driver

Between the two go pieces of videos at the size that the model sees, a few megabytes each, and Ray
holds readers back when encoders do not keep up. Shards are written where they are made; to the
driver come only counts. Ray starts anew what dies and gives it its files again, of which those with
a whole shard are passed over. Ray's own checkpoints are not used: what is done is what has a shard.

`address` None starts a cluster on this machine, which ends with the run; `ray://host:port` uses one
that is there: its machines need tempme, the files under the same paths, and the keys of the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tempme.errors import BadSetting, MissingExtra, Stopped, TempmeError
from tempme.index.building.order import RunOrder
from tempme.index.header import Header
from tempme.index.shards.making import Maker, Outcome
from tempme.index.shards.ray_metrics import RunMetrics
from tempme.index.shards.reading import read_files, reading_of
from tempme.index.shards.run import Todo
from tempme.index.shards.shards import Shards
from tempme.index.shards.standing import StandingDecoder
from tempme.index.stores.places import Place
from tempme.processes.running import is_running

FILES_PER_BATCH, PIECES_PER_BATCH = 4, 1
# Of a film so many windows travel together: 15 MB at 224 pixels.
PIECE_WINDOWS = 16
MEBIBYTE = 2**20
OBJECT_STORE_BYTES = 512 * MEBIBYTE
MOST_BLOCKS = 10_000
LONGEST_FOLDER = 30
PREFIX = "tm-"
BLOCK_BYTES = 32 * MEBIBYTE
# Nothing leaves the cluster, and nothing listens that nobody asked for.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class Sizes:
    """How many actors read and encode, and what of a machine each takes."""

    readers: int
    encoders: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: Mapping[str, float], workers: int | None) -> Sizes:
        """For a cluster with these resources: a GPU each for encoders, or a share of the cores."""
        cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
        encoders = max(1, gpus or cpus // 4)
        readers = workers or max(1, cpus - (0 if gpus else encoders))
        share = min(1.0, max(1, cpus) / (readers + encoders))
        return cls(readers, encoders, round(share, 3), 1.0 if gpus else 0.0)


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
        files = list(_unpacked(batch))
        videos = [file for file, is_picture in files if not is_picture]
        pictures = [file for file, is_picture in files if is_picture]
        begin = time.monotonic()
        read_all = partial(read_files, size=self._size, scratch=self._scratch)
        for read in read_all(videos, pictures, self._shards, self._decode):
            yield _packed([(read, time.monotonic() - begin)])
            begin = time.monotonic()


class EncodingActor:
    """An actor that encodes pieces and writes shards."""

    def __init__(self, uri: str, header: Header, threads: int) -> None:
        import torch

        from tempme.index.shards.opening import index_of

        torch.set_num_threads(threads)
        shards = Shards(Place(uri), header)
        self._maker = Maker(shards, index_of(shards).retriever)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What was read in, what became of it out."""
        return _packed(
            [
                replace(self._maker.take(read), decode_seconds=seconds)
                for read, seconds in _unpacked(batch)
            ]
        )


def on_ray(
    shards: Shards, order: RunOrder, *, size: int, address: str | None = None
) -> Callable[[Todo], Generator[Outcome]]:
    """The work on a cluster, with frames of so many pixels a side."""
    return lambda todo: _work(todo, shards, order, size, address)


def _work(
    todo: Todo, shards: Shards, order: RunOrder, size: int, address: str | None
) -> Generator[Outcome]:
    with _cluster(address) as (ray, scratch):
        sizes = Sizes.of(ray.cluster_resources(), order.workers)
        reading = {"uri": shards.place.uri, "header": shards.header, "order": order}
        made = _stages(ray.data, todo, {**reading, "size": size, "scratch": scratch}, sizes)
        files = len(todo.videos) + len(todo.pictures)
        told = RunMetrics(
            ray.util.metrics, files=files, readers=sizes.readers, encoders=sizes.encoders
        )
        for each in _told(told.watched(made)):
            yield replace(
                each,
                decode_seconds=each.decode_seconds / sizes.readers,
                encode_seconds=each.encode_seconds / sizes.encoders,
            )


def _stages(data: Any, todo: Todo, reading: Mapping[str, Any], sizes: Sizes) -> Iterator[Outcome]:
    """What comes out of the two stages, as it comes; `reading` is what a `ReadingActor` takes."""
    files = [*((one, False) for one in todo.videos), *((one, True) for one in todo.pictures)]
    batches = [pickle.dumps(one) for one in files]
    blocks = max(1, -(-len(files) // FILES_PER_BATCH))
    read = data.from_items(batches, override_num_blocks=min(blocks, MOST_BLOCKS)).map_batches(
        ReadingActor,
        batch_size=FILES_PER_BATCH,
        batch_format="numpy",
        compute=data.ActorPoolStrategy(size=sizes.readers),
        num_cpus=sizes.cpus,
        fn_constructor_kwargs=dict(reading),
    )
    threads = reading["order"].threads or max(1, int(sizes.cpus))
    encoding = {"uri": reading["uri"], "header": reading["header"], "threads": threads}
    made = read.map_batches(
        EncodingActor,
        batch_size=PIECES_PER_BATCH,
        batch_format="numpy",
        compute=data.ActorPoolStrategy(size=sizes.encoders),
        num_cpus=sizes.cpus,
        num_gpus=sizes.gpus,
        fn_constructor_kwargs=encoding,
    )
    for batch in made.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
        yield from _unpacked(batch)


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[tuple[Any, Path | None]]:
    """Ray, connected, and where its actors may put files, None for the usual place.

    What it started on this machine ends with it, and leaves no file.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    ray = _loaded()
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address is None:
            _remove_left(_short_folder())
            folder = tempfile.TemporaryDirectory(
                prefix=f"{PREFIX}{os.getpid()}-", dir=_short_folder(), ignore_cleanup_errors=True
            )
            options |= {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": stack.enter_context(folder),
            }
        else:
            options["address"] = address
        stack.callback(ray.shutdown)
        # It tells of workers that died on stdout, where the answer of the program goes.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            ray.init(**options)
        except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadSetting(
                f"no Ray cluster at {address or 'this machine'}: {told}; --on ray starts one "
                "here, ray://HOST:10001 is that of `ray start --head`"
            ) from error
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = BLOCK_BYTES
        yield ray, Path(options["_temp_dir"]) if address is None else None


def _loaded() -> Any:
    try:
        import ray
        import ray.data
        import ray.util.metrics
    except ImportError as error:
        raise MissingExtra("--on ray needs Ray: pip install 'tempme[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _short_folder() -> str:
    """Where Ray may make sockets, whose paths have to be short."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= LONGEST_FOLDER else "/tmp"


def _remove_left(folder: str) -> None:
    """What runs that were killed left there: the logs and sockets of their clusters."""
    for left in Path(folder).glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _told(made: Iterator[Outcome]) -> Iterator[Outcome]:
    """The same; an error of an actor is the error that was raised in it."""
    try:
        yield from made
    except (TempmeError, GeneratorExit, KeyboardInterrupt):
        raise
    except Exception as error:
        if (inner := _inner(error)) is not None:
            raise inner from error
        told = str(error).strip().splitlines()
        raise Stopped(
            f"Ray gave up: {told[-1] if told else type(error).__name__}; every finished shard is "
            "kept: run the same command again to go on"
        ) from error


def _inner(error: BaseException | None) -> TempmeError | None:
    """The error of ours that is behind one of Ray's."""
    while error is not None:
        if isinstance(error, TempmeError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None


def _packed(values: Iterable[object]) -> dict[str, Any]:
    rows = [pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for value in values]
    column = np.empty(len(rows), dtype=object)
    column[:] = rows
    return {"item": column}


def _unpacked(batch: Mapping[str, Any]) -> Iterator[Any]:
    """What a stage of this run packed; nobody else writes to the store of the cluster."""
    return (pickle.loads(row) for row in batch["item"])
