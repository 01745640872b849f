"""One function over many items in worker processes, some of which may die on the way.

A damaged video can crash the decoder, which no `except` catches. Then the items that were in flight
are run again one by one, each in a process of its own, so that the culprit is named and every other
item still gets its answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from tempme.errors import BadSetting

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items handed out per process: enough to keep it busy, few enough that answers do not pile up.
AHEAD = 3


@dataclass(frozen=True)
class Crash:
    """The process that worked on an item died."""

    reason: str = "crashed the process that read it"


def each_in_processes(
    task: Callable[[Item], Answer], items: Sequence[Item], *, workers: int | None = None
) -> Iterator[tuple[Item, Answer | Crash]]:
    """(item, answer) of every item, in the order of completion; `task` is a module's function.

    Few answers exist at a time, so they may be large: a slow caller slows the processes down.
    `workers` None is one per core. Processes are spawned, not forked: threads of the caller
    (decoders, BLAS) make forks hang.
    """
    if workers is not None and workers < 1:
        raise BadSetting(f"workers is {workers}; it counts processes, so at least 1")
    most = min(workers or os.cpu_count() or 1, max(1, len(items)))
    waiting = list(range(len(items)))
    while waiting:
        unfinished = dict.fromkeys(waiting)
        for place, answer in _until_broken(task, [(i, items[i]) for i in waiting], most):
            del unfinished[place]
            yield items[place], answer
        # Items start in their order: those in flight when a process died are the first ones left.
        suspects, waiting = list(unfinished)[: AHEAD * most], list(unfinished)[AHEAD * most :]
        for place in suspects:
            alone = list(_until_broken(task, [(place, items[place])], 1))
            yield items[place], alone[0][1] if alone else Crash()


def _until_broken(
    task: Callable[[Item], Answer], numbered: Sequence[tuple[int, Item]], workers: int
) -> Iterator[tuple[int, Answer]]:
    """Answers until all are there or a process has died."""
    coming = iter(numbered)
    flying: dict[Future[Answer], int] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            while True:
                for place, item in islice(coming, AHEAD * workers - len(flying)):
                    flying[pool.submit(task, item)] = place
                if not flying:
                    return
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    yield flying.pop(future), future.result()
        except BrokenProcessPool:
            return
        except BaseException:  # an interrupt must not wait for what is still queued
            pool.shutdown(wait=False, cancel_futures=True)
            raise
