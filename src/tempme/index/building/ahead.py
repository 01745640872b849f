"""`map` in threads that keep a few values ahead of the caller."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 2
AHEAD = 8

In = TypeVar("In")
Out = TypeVar("Out")


def ahead(work: Callable[[In], Out], values: Iterable[In], *, most: int = AHEAD) -> Iterator[Out]:
    """`map` in threads, in order, never more than `most` values before the caller."""
    waiting: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for value in values:
            waiting.append(pool.submit(work, value))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
