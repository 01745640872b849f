"""Many files through several decode processes: a thin use of `tempme.processes`.

A worker that dies takes only its file with it, and only if the file kills it a second time, alone;
a new worker replaces it. A worker from which nothing comes, no frame and no sign of life, for
longer than the time limit is ended: a decoder that hangs in C cannot be stopped otherwise. Memory
is bounded: one piece per worker waits to be taken and one more is in the making, and a piece holds
at most `piece_windows` windows (64 of them at 12 frames, half overlapping, size 224: 60 MB).

A film of more windows than that, six minutes and a half as it is usually cut, is decoded by all
processes together where it can be cut safely (`stretches`), with the pieces of a single pass.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Beat, Crash, Limits, num_workers, pieces_in_processes
from tempme.video.films import Answered, Assignment, Films, OnePass
from tempme.video.loading import load_windows, pieces_or_split
from tempme.video.stretches import Doubtful, FilmSplit, nothing_of, read_stretch
from tempme.video.values import AS_USUAL, Failure, Reading, VideoWindows

Answer: TypeAlias = tuple[Path, VideoWindows | Failure]

# A worker notices by itself that a file takes too long; it is ended if it is this much later.
GRACE_SECONDS = 5.0


def decode_many(
    paths: Iterable[Path | str],
    reading: Reading = AS_USUAL,
    *,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
) -> Generator[Answer]:
    """Read files in `workers` processes; yields (path, piece or failure) as they are ready.

    A long video comes in several pieces, in order, those of other files between them; `is_last`
    closes a video. A `Failure` also closes it and voids the pieces before. Every path is closed
    exactly once. A file that makes a worker hold more than `worker_memory_mb` (None: no limit) is
    given up. One whose worker is killed from outside is read again, alone, before it fails, and
    that `Failure` says that the cause was not the file. `paths` is read as workers become free,
    and may be endless. Closing the iterator ends the workers.
    """
    limits = Limits(
        timeout_seconds=reading.timeout_seconds,
        grace_seconds=GRACE_SECONDS,
        worker_memory_mb=worker_memory_mb,
    )
    # A stretch more than there are processes: the one that is told next may be the last to come.
    count = num_workers(workers)
    films = Films(map(Path, paths), reading, ahead=count + 1 if count > 1 else 1)
    task = partial(answer, look=read_pieces, reading=reading)
    answers = pieces_in_processes(task, films, workers=count, limits=limits, on_close=films.close)
    return _in_order(films, answers)


def decode_spread(
    wanted: Mapping[Path, int],
    reading: Reading = AS_USUAL,
    *,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
) -> Generator[Answer]:
    """So many windows of each file, evenly spread over it; as `decode_many`, a piece a file.

    Only what these windows show is decoded, and what leads to it: of a film, some seconds.
    """
    limits = Limits(
        timeout_seconds=reading.timeout_seconds,
        grace_seconds=GRACE_SECONDS,
        worker_memory_mb=worker_memory_mb,
    )
    task = partial(read_spread, wanted=dict(wanted), reading=reading)
    return _told(pieces_in_processes(task, wanted, workers=workers, limits=limits))


def read_spread(
    path: Path, beat: Beat, *, wanted: Mapping[Path, int], reading: Reading
) -> Iterator[VideoWindows | Failure]:
    """What a worker does with a file of which some windows are wanted."""
    try:
        yield load_windows(path, reading, max_windows=wanted[path], progressed=beat)
    except Exception as error:
        yield Failure(path, f"cannot be decoded: {type(error).__name__}: {error}")


def answer(
    asked: Assignment, beat: Beat, *, look: Callable[..., Iterator[Answered]], reading: Reading
) -> Iterator[Answered]:
    """What a worker does: `look` at a file, or read a stretch of a film."""
    what = asked.what
    if isinstance(what, OnePass):
        yield from look(what.path, beat, reading=reading, may_split=what.may_split, told=what.told)
        return
    try:
        yield read_stretch(what, beat, reading)
    except Exception:
        # Whatever it is, reading the film in one pass meets it, too, or does better.
        yield Doubtful()


def read_pieces(
    path: Path, beat: Beat, *, reading: Reading, may_split: bool = False, told: int = 0
) -> Iterator[VideoWindows | Failure | FilmSplit]:
    """What a worker does with a file: all pieces but the first `told`, or how it may be split."""
    try:
        for piece in pieces_or_split(path, reading, progressed=beat, may_split=may_split):
            if not isinstance(piece, VideoWindows) or piece.piece >= told:
                yield piece
            elif piece.is_last:  # its time was up earlier than at the first try
                yield nothing_of(piece)
    except Exception as error:
        # The last line of defence: one file must never take a run of thousands with it.
        yield Failure(path, f"cannot be decoded: {type(error).__name__}: {error}")


def _in_order(
    films: Films, answers: Generator[tuple[Assignment, Answered | Crash]]
) -> Generator[Answer]:
    try:
        for asked, answered in answers:
            yield from films.told(asked, answered)
            del answered
    finally:
        answers.close()


def _told(
    answers: Generator[tuple[Path, VideoWindows | Failure | Crash]],
) -> Generator[Answer]:
    try:
        for path, answer in answers:
            if isinstance(answer, Crash):
                yield path, Failure(path, answer.reason, answer.is_transient)
            else:
                yield path, answer
            del answer
    finally:
        answers.close()
