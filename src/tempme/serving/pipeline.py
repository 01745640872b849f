"""Requests pass through stages, each a thread beside the event loop; what comes together shares."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Stage:
    """`work` turns up to `most` items into as many results, in order; an error may be one.

    It may give them one by one: each goes on as soon as it is there. Where it raises, the items
    without a result are worked on again, each alone, so that one does not fail its neighbours.
    """

    work: Callable[[Sequence[Any]], Iterable[Any]]
    most: int


@dataclass(frozen=True, eq=False)
class _Waiting:
    """What one request has become by now, and where its answer goes."""

    item: Any
    future: Future[Any]


class Pipeline(Generic[Item, Answer]):
    """Hands items from stage to stage; what the last one makes of an item is its answer.

    `begin` is called first in every thread.

    While a stage works on a batch the next one gathers, so batches are as large as the load asks
    for and a single request never waits for others; and while one batch is at the second stage, the
    next is at the first. What nobody waits for any more is dropped before the next stage.
    """

    def __init__(self, *stages: Stage, begin: Callable[[], None] = lambda: None) -> None:
        self._begin = begin
        self._lines = [_Line() for _ in stages]
        for number, stage in enumerate(stages):
            name = f"tempme-search-{number + 1}"
            threading.Thread(target=self._run, args=(stage, number), daemon=True, name=name).start()

    async def ask(self, item: Item) -> Answer:
        """The answer to one item."""
        future: Future[Answer] = Future()
        self._lines[0].put(_Waiting(item, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads after what waits."""
        self._lines[0].put(None)

    def _run(self, stage: Stage, number: int) -> None:
        following = self._lines[number + 1] if number + 1 < len(self._lines) else None
        self._begin()
        is_over = False
        while not is_over:
            batch, is_over = self._lines[number].batch(stage.most)
            wanted = [one for one in batch if not one.future.cancelled()]
            left = _passed(stage, wanted, following)
            for one in left if len(wanted) > 1 else ():
                _passed(stage, [one], following)
        if following is not None:
            following.put(None)


class _Line:
    """What waits for a stage; None is the end of it."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()

    def put(self, one: _Waiting | None) -> None:
        self._queue.put(one)

    def batch(self, most: int) -> tuple[list[_Waiting], bool]:
        """What waits now, at least one and at most so many; whether it is the end."""
        batch: list[_Waiting] = []
        while len(batch) < most:
            try:
                one = self._queue.get_nowait() if batch else self._queue.get()
            except Empty:
                break
            if one is None:
                return batch, True
            batch.append(one)
        return batch, False


def _passed(stage: Stage, batch: Sequence[_Waiting], following: _Line | None) -> list[_Waiting]:
    """Work on a batch and hand on what becomes of it; those that are to be tried again, alone."""
    done = 0
    try:
        if batch:
            for one, result in zip(batch, stage.work([one.item for one in batch]), strict=True):
                done += 1
                _hand_on(one, result, following)
    except Exception as error:
        if len(batch) > 1:
            return list(batch[done:])
        for one in batch[done:]:
            _hand_on(one, error, None)
    return []


def _hand_on(one: _Waiting, result: Any, following: _Line | None) -> None:
    is_error = isinstance(result, Exception)
    if following is not None and not is_error:
        following.put(_Waiting(result, one.future))
    elif one.future.set_running_or_notify_cancel():
        if is_error:
            one.future.set_exception(result)
        else:
            one.future.set_result(result)
