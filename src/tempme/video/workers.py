"""Many files through several decode processes: a thin use of `tempme.processes`.

A worker that dies takes only its file with it, and only if the file kills it a second time, alone;
a new worker replaces it. A worker from which nothing comes, no frame and no sign of life, for
longer than the time limit is ended: a decoder that hangs in C cannot be stopped otherwise. Memory
is bounded: one piece per worker waits to be taken and one more is in the making, and a piece holds
at most `piece_windows` windows (64 of them at 12 frames, half overlapping, size 224: 60 MB).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tempme.errors import BadSetting
from tempme.processes.pool import Beat, Crash, Limits, pieces_in_processes
from tempme.video.containers.source import TOTAL_SECONDS
from tempme.video.loading import iter_windows
from tempme.video.sampling import windows
from tempme.video.values import SAMPLINGS, Failure, Sampling, VideoWindows

Answer: TypeAlias = tuple[Path, VideoWindows | Failure]

# A worker notices by itself that a file takes too long; it is ended if it is this much later.
GRACE_SECONDS = 5.0


def decode_many(
    paths: Iterable[Path | str],
    *,
    workers: int | None = None,
    frames: int = 12,
    every_seconds: float = 1.0,
    overlap: float = 0.5,
    size: int = 224,
    sampling: Sampling = "auto",
    timeout_seconds: float = 60.0,
    total_seconds: float = TOTAL_SECONDS,
    piece_windows: int = 64,
    threads: int = 1,
) -> Generator[Answer]:
    """Read files in `workers` processes; yields (path, piece or failure) as they are ready.

    A long video comes in several pieces, in order, those of other files between them; `is_last`
    closes a video. A `Failure` also closes it and voids the pieces before. Every path is closed
    exactly once. `timeout_seconds` limits the wait for each next frame, so that a long video on a
    busy machine is not given up while it gets on; after `total_seconds` of work on it, the windows
    so far are all. `paths` is read as workers become free, and may be endless. Closing the
    iterator ends the workers.
    """
    how = {
        "frames": frames,
        "every_seconds": every_seconds,
        "overlap": overlap,
        "size": size,
        "sampling": sampling,
        "timeout_seconds": timeout_seconds,
        "total_seconds": total_seconds,
        "piece_windows": piece_windows,
        "threads": threads,
    }
    _check(how)
    limits = Limits(timeout_seconds=timeout_seconds, grace_seconds=GRACE_SECONDS)
    task = partial(read_pieces, how=how)
    return _told(pieces_in_processes(task, map(Path, paths), workers=workers, limits=limits))


def read_pieces(path: Path, beat: Beat, *, how: dict[str, Any]) -> Iterator[VideoWindows | Failure]:
    """What a worker does with a file."""
    try:
        yield from iter_windows(path, **how, progressed=beat)
    except Exception as error:
        # The last line of defence: one file must never take a run of thousands with it.
        yield Failure(path, f"cannot be decoded: {type(error).__name__}: {error}")


def _check(how: dict[str, Any]) -> None:
    windows(0.0, **{name: how[name] for name in ("frames", "every_seconds", "overlap")})
    if how["sampling"] not in SAMPLINGS:
        allowed = ", ".join(SAMPLINGS)
        raise BadSetting(f"sampling is {how['sampling']!r}; it is one of {allowed}")
    for name in ("size", "piece_windows"):
        if how[name] < 1:
            raise BadSetting(f"{name} is {how[name]}; it must be at least 1")


def _told(
    answers: Generator[tuple[Path, VideoWindows | Failure | Crash]],
) -> Generator[Answer]:
    try:
        for path, answer in answers:
            yield path, Failure(path, answer.reason) if isinstance(answer, Crash) else answer
    finally:
        answers.close()
