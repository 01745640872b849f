"""The program of a worker process: it reads a task, then items on stdin, and answers on stdout.

It is a program of its own rather than a forked or spawned copy of its parent: threads of the
caller (decoders, BLAS) make forks hang, and spawned copies run the caller's main module. It
imports only what the task needs and ends with its parent, whose end of the pipe then closes.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import time
import traceback
from collections.abc import Iterable
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, cast

from tempme.processes.memory import end_above, end_before_others, resident_bytes
from tempme.processes.messages import Kind, Parts, Start, packed, receive, send

STDIN, STDOUT, STDERR = 0, 1, 2


def serve() -> None:
    """Read the task, then items, and answer them until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    end_before_others()
    requests, answers = _own_pipes()
    try:
        _, start = receive(requests)
    except Exception as error:
        send(answers, _told(error))
        return
    if start.memory_bytes is not None:
        end_above(start.memory_bytes)
    gc.freeze()  # what is there now stays: looking for garbage after every item becomes cheap
    items: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(requests, items), daemon=True).start()
    send(answers, packed(Kind.READY))
    while True:
        _answer(start, items.get(), answers)


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to the parent, out of reach of what libraries read and print."""
    requests, answers = os.fdopen(os.dup(STDIN), "rb"), os.fdopen(os.dup(STDOUT), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.dup2(STDERR, STDOUT)
    os.close(nothing)
    return requests, answers


def _listen(requests: IO[bytes], items: SimpleQueue[Any]) -> None:
    """Queue items; leave at once when the parent is gone, even while a decoder hangs."""
    try:
        while True:
            _, item = receive(requests)
            items.put(item)
            del item
    finally:
        os._exit(0)


class _Pulse:
    """Tells the parent, not too often, that an item is being got on with."""

    def __init__(self, answers: IO[bytes], every_seconds: float) -> None:
        self._answers, self._every_seconds = answers, every_seconds
        self._last = time.monotonic()

    def beat(self) -> None:
        if time.monotonic() - self._last >= self._every_seconds:
            send(self._answers, packed(Kind.ALIVE))
            self._last = time.monotonic()


def _answer(start: Start, item: Any, answers: IO[bytes]) -> None:
    """All pieces of an item, then the sign that it is done."""
    pulse = _Pulse(answers, start.beat_seconds)
    try:
        for piece in _pieces(start, item, pulse):
            send(answers, packed(Kind.PIECE, piece))
            del piece  # the next one is made before this name is used again
    except Exception as error:
        send(answers, _told(error))
        return
    gc.collect()
    send(answers, packed(Kind.DONE, resident_bytes()))


def _pieces(start: Start, item: Any, pulse: _Pulse) -> Iterable[Any]:
    task = cast("Any", start.task)
    if start.is_in_pieces:
        yield from task(item, pulse.beat)
    else:
        yield task(item)


def _told(error: Exception) -> Parts:
    """The error as a message, or its words where it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
        return packed(Kind.RAISED, error)
    except Exception:
        words = traceback.format_exception_only(error)[-1].strip()
        return packed(Kind.RAISED, RuntimeError(words.removeprefix(f"{type(error).__module__}.")))
