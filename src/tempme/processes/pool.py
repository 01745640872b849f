"""One function over many items in worker processes, some of which may die on the way.

A damaged video can crash the decoder, which no `except` catches, or hang in it, which no clock of
its own process ends. Each worker is a process with a thread here that hands it one item at a time:
the item that killed it is known, a new process takes its place, and every other item still gets
its answer. `worker` is the program of such a process.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Event, Thread, Timer, current_thread
from typing import IO, Any, Generic, TypeVar

from tempme.errors import BadSetting

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items handed out per process: enough to keep it busy, few enough that answers do not pile up.
AHEAD = 3
# A process may die of another's hunger (the system ends one when memory is short), so its item is
# tried again before it is blamed.
ATTEMPTS = 2
# What a terminal sends (Ctrl-C) goes to the parent alone, which ends its workers.
OWN_GROUP = 0 if os.name == "posix" else None
PROGRAM = "from tempme.processes.program import serve; serve()"


@dataclass(frozen=True)
class Crash:
    """The process that worked on an item died, or was ended because it hung."""

    reason: str = "crashed the process that read it"


class Workers(Generic[Item, Answer]):
    """Processes that run `task` until they are closed; `task` is a module's function.

    With `timeout_seconds`, a process that takes longer for an item is ended. `workers` 0 runs the
    task in this process, when an item is submitted: nothing then survives a crash. Use it in a
    `with`, or call `close`; processes also end when this is collected, and with this process.
    """

    def __init__(
        self,
        task: Callable[[Item], Answer],
        *,
        workers: int,
        timeout_seconds: float | None = None,
    ) -> None:
        if workers < 0:
            raise BadSetting(f"workers is {workers}; it counts processes: 0 (none) or more")
        self._task = task
        self._line: _Line = SimpleQueue()
        program = pickle.dumps(task, protocol=5)
        self._crew = [_Worker(program, self._line, timeout_seconds) for _ in range(workers)]
        self._end = weakref.finalize(self, _close, self._line, self._crew)
        for worker in self._crew:
            worker.start()

    def __enter__(self) -> Workers[Item, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes now; what waits is cancelled, what is in flight gets a `Crash`."""
        self._end()

    def submit(self, item: Item) -> Future[Answer | Crash]:
        """The answer to come; what the task raises is raised by the future."""
        future: Future[Answer | Crash] = Future()
        if not self._end.alive:
            raise RuntimeError("the workers are closed")
        if self._crew:
            self._line.put((item, future))
            return future
        try:
            future.set_result(self._task(item))
        except Exception as error:
            future.set_exception(error)
        return future


def each_in_processes(
    task: Callable[[Item], Answer], items: Sequence[Item], *, workers: int | None = None
) -> Iterator[tuple[Item, Answer | Crash]]:
    """(item, answer) of every item, in the order of completion; `task` is a module's function.

    Few answers exist at a time, so they may be large: a slow caller slows the processes down.
    `workers` None is one per core.
    """
    if workers is not None and workers < 1:
        raise BadSetting(f"workers is {workers}; it counts processes, so at least 1")
    most = min(workers or os.cpu_count() or 1, max(1, len(items)))
    coming = iter(items)
    flying: dict[Future[Answer | Crash], Item] = {}
    with Workers(task, workers=most) as crew:
        while True:
            for item in islice(coming, AHEAD * most - len(flying)):
                flying[crew.submit(item)] = item
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                yield flying.pop(future), future.result()


_Line = SimpleQueue[tuple[Any, Future[Any]] | None]


def _close(line: _Line, crew: Sequence[_Worker]) -> None:
    """What `Workers.close` says; knows nothing of the `Workers`, which may be gone."""
    for worker in crew:
        worker.stop.set()
    with suppress(Empty):
        while True:
            waiting = line.get_nowait()
            if waiting is not None:
                waiting[1].cancel()
    for worker in crew:
        line.put(None)
        worker.kill()
    for worker in crew:
        if worker is not current_thread():  # in which the collector may run
            worker.join(5.0)


class _Worker(Thread):
    """The thread that looks after one process, and after its successors."""

    def __init__(self, program: bytes, line: _Line, timeout_seconds: float | None) -> None:
        super().__init__(daemon=True)
        self.stop = Event()
        self._program, self._line, self._timeout_seconds = program, line, timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._hung = Event()

    def run(self) -> None:
        """Take items until there are none left."""
        while (waiting := self._line.get()) is not None:
            item, future = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._answer(item))
            except Exception as error:
                self._bury()
                future.set_exception(error)
        self._bury()

    def kill(self) -> None:
        """End the process, if there is one."""
        process = self._process
        if process is not None:
            process.kill()

    def _answer(self, item: Any) -> Any:
        body = pickle.dumps(item, protocol=5)
        crash = Crash("was given up: the workers were closed")
        for _ in range(ATTEMPTS):
            if self.stop.is_set():
                return crash
            process = self._process or self._begin()
            try:
                return self._asked(process, body)
            except (EOFError, OSError, pickle.UnpicklingError):
                crash = self._epitaph()
            if self._hung.is_set():
                return crash
        return crash

    def _asked(self, process: subprocess.Popen[bytes], body: bytes) -> Any:
        """One item there, one answer back."""
        clock = Timer(self._timeout_seconds or 0.0, self._give_up, (process,))
        clock.daemon = True
        self._hung.clear()
        if self._timeout_seconds is not None:
            clock.start()
        try:
            _write(process, body)
            return _received(process)
        finally:
            clock.cancel()

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        self._hung.set()
        process.kill()

    def _begin(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            process_group=OWN_GROUP,
        )
        self._process = process
        try:
            _write(process, self._program)
            _received(process)
        except (EOFError, OSError) as error:
            if self.stop.is_set():
                raise
            raise RuntimeError("a worker process ended before it could start its work") from error
        return process

    def _epitaph(self) -> Crash:
        """What the process died of."""
        code = self._bury()
        if self._hung.is_set():
            return Crash(f"timeout: its process hung for {self._timeout_seconds:g} s")
        return Crash(f"{Crash.reason} ({cause_of_end(code)})")

    def _bury(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        return bury(process, patience_seconds=0.0 if self.stop.is_set() else 1.0)


def _write(process: subprocess.Popen[bytes], body: bytes) -> None:
    pipe = pipe_of(process.stdin)
    pipe.write(body)
    pipe.flush()


def _received(process: subprocess.Popen[bytes]) -> Any:
    is_well, answer = pickle.load(pipe_of(process.stdout))
    if is_well:
        return answer
    raise answer


def pipe_of(pipe: IO[bytes] | None) -> IO[bytes]:
    """A pipe of a process that was started with it; EOFError where there is none."""
    if pipe is None:
        raise EOFError
    return pipe


def bury(process: subprocess.Popen[bytes], *, patience_seconds: float) -> int:
    """Wait for the end of a process, then end it; its exit code, once its pipes are closed too."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_seconds)
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            pipe_of(pipe).close()
    return process.wait()


def cause_of_end(code: int) -> str:
    """An exit code in words: -11 -> "SIGSEGV", 3 -> "exit status 3"."""
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
