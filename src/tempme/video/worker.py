"""A decode worker: `python -m tempme.video.worker` reads tasks on stdin, answers on stdout.

It is a program of its own rather than a forked or spawned copy of its parent: it starts in a
fraction of a second, imports no torch, never runs the parent's main module, and its death harms
nobody. It ends with its parent, whose end of the pipe then closes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from queue import SimpleQueue
from threading import Thread
from typing import IO

from tempme.video.loading import iter_windows
from tempme.video.values import Failure, VideoWindows
from tempme.video.wire import Alive, Ready, Task, receive, send


def main() -> None:
    """Serve until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not end up among the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks: SimpleQueue[Task] = SimpleQueue()
    Thread(target=_listen, args=(sys.stdin.buffer, tasks), daemon=True).start()
    send(answers, Ready())
    pulse = _Pulse(answers)
    while True:
        for answer in _read(tasks.get(), pulse.beat):
            send(answers, answer)
        send(answers, Ready())


class _Pulse:
    """Tells the parent, at most once a second, that frames are coming."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._last = time.monotonic()

    def beat(self) -> None:
        if time.monotonic() - self._last > 1.0:
            send(self._answers, Alive())
            self._last = time.monotonic()


def _listen(pipe: IO[bytes], tasks: SimpleQueue[Task]) -> None:
    """Queue tasks; leave at once when the parent is gone, even while a decoder hangs."""
    try:
        while True:
            tasks.put(receive(pipe))
    finally:
        os._exit(0)


def _read(task: Task, progressed: Callable[[], None]) -> Iterator[VideoWindows | Failure]:
    try:
        yield from iter_windows(task.path, **asdict(task.recipe), progressed=progressed)
    except Exception as error:
        # The last line of defence: one file must never take a run of thousands with it.
        yield Failure(task.path, f"cannot be decoded: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
