"""Requests that come together are worked on together, in one thread beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Hands what waits to `work`, at most `most` items at a time; one answer or error for each.

    `begin` is called first, in the thread that works.

    While a batch is worked on the next one gathers, so batches are as large as the load asks for
    and a single request never waits for others.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        most: int,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._most, self._begin = work, most, begin
        self._line: SimpleQueue[tuple[Item, Future[Answer]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="tempme-search")
        self._thread.start()

    async def ask(self, item: Item) -> Answer:
        """The answer to one item."""
        future: Future[Answer] = Future()
        self._line.put((item, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the thread after what waits."""
        self._line.put(None)

    def _run(self) -> None:
        self._begin()
        while (first := self._line.get()) is not None:
            batch, is_over = self._gather(first)
            batch = [(item, future) for item, future in batch if _starts(future)]
            self._answer(batch)
            if is_over:
                return

    def _gather(
        self, first: tuple[Item, Future[Answer]]
    ) -> tuple[list[tuple[Item, Future[Answer]]], bool]:
        batch = [first]
        while len(batch) < self._most:
            try:
                waiting = self._line.get_nowait()
            except Empty:
                break
            if waiting is None:
                return batch, True
            batch.append(waiting)
        return batch, False

    def _answer(self, batch: list[tuple[Item, Future[Answer]]]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            answers = self._work([item for item, _ in batch]) if batch else []
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _starts(future: Future[Answer]) -> bool:
    return future.set_running_or_notify_cancel()
