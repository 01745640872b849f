"""Copies of a retriever that encode at the same time, each on a device and a thread of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

import torch

from tempme.engines.choice import EngineChoice
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def check_devices(count: int | None) -> None:
    """BadSetting where fewer GPUs are here than are asked for; a CPU is shared by any number."""
    if count is not None and count < 1:
        raise BadSetting(f"devices is {count}; it counts GPUs, or threads of a CPU, so at least 1")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count is not None and 0 < gpus < count:
        raise BadSetting(
            f"devices is {count}, but this machine has {gpus}: ask for {gpus} or fewer"
        )


def for_inference_on(
    retriever: Retriever, running: EngineChoice, count: int | None
) -> tuple[Retriever, ...]:
    """`retriever.for_inference`, a copy a GPU; on a CPU one, which all threads share.

    count None stays where the retriever is. What is shared has to have encoded once, before several
    threads do: its weights are laid out when they are first used.
    """
    check_devices(count)
    if count is None:
        return (_ready(retriever, running),)
    if not torch.cuda.is_available():
        return (_ready(retriever, running),) * count
    places = [torch.device("cuda", number) for number in range(count)]
    return tuple(_ready(copy.deepcopy(retriever).to(place), running) for place in places)


def _ready(retriever: Retriever, running: EngineChoice) -> Retriever:
    return retriever.for_inference(running.precision, running.engine)


class Crew(Generic[Item, Answer]):
    """Threads that do one task each with a retriever of its own; at most one more task waits each.

    So what is decoded ahead stays bounded: `put` waits until the oldest task is done. One retriever
    alone works in the caller's thread, whose number of cores follows what decoding leaves.
    """

    def __init__(
        self, retrievers: Sequence[Retriever], task: Callable[[Retriever, Item], Answer]
    ) -> None:
        self._task, self._most = task, 2 * len(retrievers)
        self._is_alone = len(retrievers) == 1
        self._free: SimpleQueue[Retriever] = SimpleQueue()
        for retriever in retrievers:
            self._free.put(retriever)
        self._threads = ThreadPoolExecutor(len(retrievers), thread_name_prefix="tempme-encode")
        self._begun: list[Future[Answer]] = []

    def put(self, item: Item) -> list[Answer]:
        """Begin a task; the answers of those that had to end for it, in order."""
        if self._is_alone:
            return [self._do(item)]
        self._begun.append(self._threads.submit(self._do, item))
        return [self._begun.pop(0).result() for _ in range(len(self._begun) - self._most + 1)]

    def rest(self) -> list[Answer]:
        """The answers that are still to come, in order."""
        begun, self._begun = self._begun, []
        return [one.result() for one in begun]

    def __enter__(self) -> Crew[Item, Answer]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _do(self, item: Item) -> Answer:
        retriever = self._free.get()
        try:
            return self._task(retriever, item)
        finally:
            self._free.put(retriever)
