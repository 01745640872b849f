"""Many files through several decode processes.

Each worker is a process (`worker.py`) with a thread here that hands it one file at a time and
passes on its answers. A worker that dies takes only its file with it, which becomes a `Failure`; a
new worker replaces it. A worker from which nothing comes, no frame and no sign of life, for longer
than the time limit is killed: a decoder that hangs in C cannot be stopped otherwise. Memory is
bounded: at most one piece per worker waits to be taken and one more is in the making, and a piece
holds at most `piece_windows` windows (64 of them at 12 frames, half overlapping, size 224: 60 MB).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import TypeAlias

from tempme.errors import BadSetting
from tempme.processes.pool import OWN_GROUP, bury, cause_of_end, pipe_of
from tempme.video.containers.source import TOTAL_SECONDS
from tempme.video.sampling import windows
from tempme.video.values import SAMPLINGS, Failure, Sampling, VideoWindows
from tempme.video.wire import Alive, Ready, Recipe, Task, receive, send

Answer: TypeAlias = tuple[Path, VideoWindows | Failure]

# A worker notices by itself that a file takes too long; it is killed if it is this much later.
GRACE_SECONDS = 5.0
# Half a second of work, but a machine may be busy, and a file must not be blamed for that.
START_SECONDS = 600.0
PACKAGE_ROOT = Path(__file__).parents[2]


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
) -> Iterator[Answer]:
    """Read files in `workers` processes; yields (path, piece or failure) as they are ready.

    A long video comes in several pieces, in order, those of other files between them; `is_last`
    closes a video. A `Failure` also closes it and voids the pieces before. Every path is closed
    exactly once. `timeout_seconds` limits the wait for each next frame, so that a long video on a
    busy machine is not given up while it gets on; after `total_seconds` of work on it, the windows
    so far are all. `paths` is read as workers become free, and may be endless. Closing the
    iterator ends the workers.
    """
    recipe = Recipe(
        frames=frames,
        every_seconds=every_seconds,
        overlap=overlap,
        size=size,
        sampling=sampling,
        timeout_seconds=timeout_seconds,
        total_seconds=total_seconds,
        piece_windows=piece_windows,
        threads=threads,
    )
    _check(recipe, workers)
    count = workers if workers is not None else max(1, os.cpu_count() or 1)
    return _run(iter(paths), recipe, count)


def _check(recipe: Recipe, workers: int | None) -> None:
    windows(0.0, frames=recipe.frames, every_seconds=recipe.every_seconds, overlap=recipe.overlap)
    if recipe.sampling not in SAMPLINGS:
        allowed = ", ".join(SAMPLINGS)
        raise BadSetting(f"sampling is {recipe.sampling!r}; it is one of {allowed}")
    counts = {
        "workers": 1 if workers is None else workers,
        "size": recipe.size,
        "piece_windows": recipe.piece_windows,
    }
    for name, value in counts.items():
        if value < 1:
            raise BadSetting(f"{name} is {value}; it must be at least 1")


def _run(paths: Iterator[Path | str], recipe: Recipe, count: int) -> Iterator[Answer]:
    line = _Line(paths, count)
    crew = [_Worker(line, recipe) for _ in range(count)]
    try:
        for worker in crew:
            worker.start()
        while not line.is_over(crew):
            for worker in crew:
                worker.kill_if_late()
            try:
                yield line.answers.get(timeout=0.1)
            except Empty:
                continue
        if line.error is not None:
            raise line.error
    finally:
        line.stop.set()
        for worker in crew:
            worker.kill()
        for worker in crew:
            worker.join(GRACE_SECONDS)


class _Line:
    """What the threads share: the paths still to do, the answers to take, the sign to stop."""

    def __init__(self, paths: Iterator[Path | str], count: int) -> None:
        self.answers: Queue[Answer] = Queue(maxsize=count)
        self.stop = Event()
        self.error: Exception | None = None
        self._paths = paths
        self._lock = Lock()

    def next_path(self) -> Path | None:
        """The next file, or None when there is no more."""
        with self._lock:
            if self.stop.is_set() or self.error is not None:
                return None
            try:
                path = next(self._paths, None)
            except Exception as error:
                self.error = error
                return None
        return None if path is None else Path(path)

    def put(self, answer: Answer) -> None:
        """Wait until the answer finds room, or nobody wants answers any more."""
        while not self.stop.is_set():
            try:
                return self.answers.put(answer, timeout=0.2)
            except Full:
                continue
        return None

    def is_over(self, crew: list[_Worker]) -> bool:
        """Whether every thread has ended and every answer was taken."""
        return not any(worker.is_alive() for worker in crew) and self.answers.empty()


class _Worker(Thread):
    """The thread that looks after one worker process, and after its successors."""

    def __init__(self, line: _Line, recipe: Recipe) -> None:
        super().__init__(daemon=True)
        self._line = line
        self._recipe = recipe
        self._process: subprocess.Popen[bytes] | None = None
        self._late_at = float("inf")
        self._is_late = False

    def run(self) -> None:
        """Take files until there are none left."""
        while (path := self._line.next_path()) is not None:
            try:
                self._serve(path)
            except (EOFError, OSError):
                self._line.put((path, Failure(path, self._epitaph())))
        self.kill()
        self._bury()

    def kill_if_late(self) -> None:
        """End a process that has been silent for too long."""
        if time.monotonic() > self._late_at:
            self._is_late = True
            self.kill()

    def kill(self) -> None:
        """End the process, if there is one."""
        process = self._process
        if process is not None:
            process.kill()

    def _serve(self, path: Path) -> None:
        if self._process is None:
            self._process = _start()
            self._receive(START_SECONDS)
        task = Task(path, self._recipe)
        send(pipe_of(self._process.stdin), task)
        limit = self._recipe.timeout_seconds + GRACE_SECONDS
        while not isinstance(answer := self._receive(limit), Ready):
            self._line.put((path, answer))

    def _receive(self, limit_seconds: float) -> VideoWindows | Failure | Ready:
        if self._process is None:
            raise EOFError
        # The clock stands still while an answer waits to be taken: that is not the worker's doing.
        try:
            while True:
                self._late_at = time.monotonic() + limit_seconds
                answer: VideoWindows | Failure | Ready | Alive
                answer = receive(pipe_of(self._process.stdout))
                if not isinstance(answer, Alive):
                    return answer
        finally:
            self._late_at = float("inf")

    def _epitaph(self) -> str:
        """What the process died of."""
        was_late, self._is_late = self._is_late, False
        code = self._bury()
        if code is None:
            return "no worker process could be started"
        if was_late:
            return f"timeout: the decoder hung for {self._recipe.timeout_seconds:g} s"
        return f"the decoder crashed on this file ({cause_of_end(code)})"

    def _bury(self) -> int | None:
        """End the process and give back its exit code; None where there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        return bury(process, patience_seconds=0.0 if self._line.stop.is_set() else 1.0)


def _start() -> subprocess.Popen[bytes]:
    search = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "tempme.video.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=OWN_GROUP,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
    )
