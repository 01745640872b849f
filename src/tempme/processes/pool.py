"""One function over many items in worker processes, some of which may die on the way.

A damaged video can crash the decoder, which no `except` catches, or hang in it, which no clock of
its own process ends. Each worker is a process with a thread here that hands it one item at a time
(`keeper`): the item that killed it is known, a new process takes its place, and every other item
still gets its answer. `program` is what runs in such a process. A task answers once
(`each_in_processes`, `Workers`) or in pieces (`pieces_in_processes`); it is a function of a module
that can be imported, or a `functools.partial` of one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import current_thread
from typing import Any, Generic, TypeVar

from tempme.errors import BadSetting
from tempme.processes.cores import num_cores
from tempme.processes.deaths import Crash
from tempme.processes.gate import Gate
from tempme.processes.keeper import Keeper
from tempme.processes.limits import Limits
from tempme.processes.line import Line, WantedItem
from tempme.processes.messages import Beat, Start

__all__ = ["Beat", "Crash", "Limits", "Workers", "each_in_processes", "pieces_in_processes"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Answers that may wait per process: enough to keep it busy while the caller is, few enough that
# they do not pile up. A piece may be large: one waits, the next one is in the making.
AHEAD = 3
END_SECONDS = 5.0


class Workers(Generic[Item, Answer]):
    """Processes that run `task` until they are closed.

    `workers` 0 runs the task in this process, when an item is submitted: nothing then survives a
    crash, and no limit holds. Use it in a `with`, or call `close`; processes also end when this is
    collected, and with this process.
    """

    def __init__(
        self, task: Callable[[Item], Answer], *, workers: int, limits: Limits | None = None
    ) -> None:
        if workers < 0:
            raise BadSetting(f"workers is {workers}; it counts processes: 0 (none) or more")
        self._task = task
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._gate = Gate()
        start, limits = _start(task, limits, is_in_pieces=False)
        self._crew = [
            Keeper(self._queue.get, start, limits=limits, gate=self._gate) for _ in range(workers)
        ]
        self._end = weakref.finalize(self, _close, self._queue, self._gate, self._crew)
        for keeper in self._crew:
            keeper.start()

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
            self._queue.put(_Asked(item, future))
            return future
        try:
            future.set_result(self._task(item))
        except Exception as error:
            future.set_exception(error)
        return future


def each_in_processes(
    task: Callable[[Item], Answer],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    limits: Limits | None = None,
) -> Generator[tuple[Item, Answer | Crash]]:
    """(item, answer) of every item, in the order of completion; raises what the task raises.

    Few answers exist at a time, so they may be large: a slow caller slows the processes down.
    `workers` None is one per core.
    """
    count = min(num_workers(workers), max(1, len(items)))
    start, limits = _start(task, limits, is_in_pieces=False)
    return _run(start, items, count=count, limits=limits, room=AHEAD)


def pieces_in_processes(
    task: Callable[[Item, Beat], Iterator[Answer]],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    on_close: Callable[[], None] = lambda: None,
) -> Generator[tuple[Item, Answer | Crash]]:
    """(item, piece) as they are ready, those of an item in order, others' between them.

    A `Crash` ends its item and voids the pieces before it; otherwise the last piece has to say
    that it is the last. At most one piece per worker waits to be taken while the next is made.
    The task calls the `Beat` as often as it likes to say that it gets on. `items` is drawn from
    by the pool's threads, one at a time, as workers become free, and may be endless. Closing the
    iterator ends the processes; `on_close` is called before, so that items which are waited for
    come to their end.
    """
    start, limits = _start(task, limits, is_in_pieces=True)
    count = num_workers(workers)
    return _run(start, items, count=count, limits=limits, room=1, on_close=on_close)


def num_workers(workers: int | None) -> int:
    """How many processes that is: None is one per core; BadSetting for less than one."""
    if workers is not None and workers < 1:
        raise BadSetting(f"workers is {workers}; it counts processes, so at least 1")
    return workers or num_cores()


def _start(
    task: Callable[..., Any], limits: Limits | None, *, is_in_pieces: bool
) -> tuple[Start, Limits]:
    limits = limits or Limits()
    return Start(task, is_in_pieces, limits.beat_seconds, limits.memory_bytes), limits


def _run(
    start: Start,
    items: Iterable[Any],
    *,
    count: int,
    limits: Limits,
    room: int,
    on_close: Callable[[], None] = lambda: None,
) -> Generator[tuple[Any, Any]]:
    line, gate = Line(items), Gate()
    crew = [Keeper(line.open(room), start, limits=limits, gate=gate) for _ in range(count)]
    try:
        for keeper in crew:
            keeper.start()
        yield from line.answers(count)
    finally:
        on_close()
        line.close()
        _end_all(gate, crew)


class _Asked(WantedItem):
    """An item whose answer a future waits for."""

    def __init__(self, item: Any, future: Future[Any]) -> None:
        self.item, self.future = item, future

    def begin(self) -> bool:
        """Whether the future was not cancelled."""
        return self.future.set_running_or_notify_cancel()

    def put(self, answer: Any) -> None:
        """Take the answer."""
        self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Take what the task raised."""
        if not self.future.done():
            self.future.set_exception(error)


def _close(queue: SimpleQueue[_Asked | None], gate: Gate, crew: Sequence[Keeper]) -> None:
    """What `Workers.close` says; knows nothing of the `Workers`, which may be gone."""
    with suppress(Empty):
        while True:
            waiting = queue.get_nowait()
            if waiting is not None:
                waiting.future.cancel()
    for _ in crew:
        queue.put(None)
    _end_all(gate, crew)


def _end_all(gate: Gate, crew: Sequence[Keeper]) -> None:
    for keeper in crew:
        keeper.end()
    gate.give_up()
    for keeper in crew:
        if keeper.is_alive() and keeper is not current_thread():  # in which the collector may run
            keeper.join(END_SECONDS)
