"""Where the items of one run come from, and where their answers wait to be taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Lock, Semaphore
from typing import Any, NamedTuple


class WantedItem:
    """A job that is done once it is there to be done, and whose answer always has room."""

    item: Any

    def begin(self) -> bool:
        """It is wanted."""
        return True

    def wait_for_room(self) -> None:
        """There is room."""


class _Answer(NamedTuple):
    """What a keeper has for the caller: an answer, or what the task raised."""

    item: Any
    answer: Any
    error: Exception | None
    room: Semaphore


class Line:
    """Items from an iterable, answers in a queue; keepers take and put, one caller takes answers.

    An error of the iterable ends the items, and is raised after the last answer.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self._lock = Lock()
        self._error: Exception | None = None
        self._is_closed = Event()
        self._answers: SimpleQueue[_Answer | None] = SimpleQueue()
        self._rooms: list[Semaphore] = []

    def open(self, most: int) -> Callable[[], _Piecewise | None]:
        """Where one keeper takes its jobs, of whose answers at most so many wait to be taken."""
        room = Semaphore(most)
        self._rooms.append(room)
        return lambda: self._take(room)

    def answers(self, num_keepers: int) -> Iterator[tuple[Any, Any]]:
        """(item, answer) until every keeper has found that there are no more items."""
        while num_keepers:
            found = self._answers.get()
            if found is None:
                num_keepers -= 1
                continue
            found.room.release()
            if found.error is not None:
                raise found.error
            yield found.item, found.answer
            del found  # whatever comes next, it is not held any longer
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """No more items; nobody waits for room."""
        self._is_closed.set()
        for room in self._rooms:
            room.release()

    def _take(self, room: Semaphore) -> _Piecewise | None:
        with self._lock:
            if self._error is None and not self._is_closed.is_set():
                try:
                    return _Piecewise(next(self._items), room, self._is_closed, self._answers)
                except StopIteration:
                    pass
                except Exception as error:
                    self._error = error
        self._answers.put(None)
        return None


class _Piecewise(WantedItem):
    """An item whose answers wait in the queue of a line."""

    def __init__(
        self,
        item: Any,
        room: Semaphore,
        is_closed: Event,
        answers: SimpleQueue[_Answer | None],
    ) -> None:
        self.item = item
        self._room, self._is_closed, self._answers = room, is_closed, answers
        self._has_room = False

    def wait_for_room(self) -> None:
        """Until an answer before this one is taken, or nobody wants answers any more."""
        if not (self._has_room or self._is_closed.is_set()):
            self._room.acquire()
            self._has_room = True

    def put(self, answer: Any) -> None:
        """Take a piece, an answer or a `Crash`."""
        self._put(answer, None)

    def fail(self, error: Exception) -> None:
        """Take what the task raised."""
        self._put(None, error)

    def _put(self, answer: Any, error: Exception | None) -> None:
        self.wait_for_room()
        self._has_room = False
        self._answers.put(_Answer(self.item, answer, error, self._room))
