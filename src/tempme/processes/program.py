"""The program of a worker process: it reads a task, then items on stdin, and answers on stdout.

`processes` starts it. It is a program of its own rather than a forked or spawned copy of its
parent: threads of the caller (decoders, BLAS) make forks hang, and spawned copies run the caller's
main module. It imports only what the task needs and ends with its parent, whose end of the pipe
then closes.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any


def serve() -> None:
    """The program of a worker: read the task, then items on stdin, and write answers on stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not end up among the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    items: SimpleQueue[Any] = SimpleQueue()
    try:
        task: Callable[[Any], Any] = pickle.load(sys.stdin.buffer)
    except Exception as error:
        _send(answers, (False, _portable(error)))
        return
    _send(answers, (True, None))
    Thread(target=_listen, args=(items,), daemon=True).start()
    while True:
        _send(answers, _done(task, items.get()))


def _listen(items: SimpleQueue[Any]) -> None:
    """Queue items; leave at once when the parent is gone, even while a decoder hangs."""
    try:
        while True:
            items.put(pickle.load(sys.stdin.buffer))
    finally:
        os._exit(0)


def _done(task: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, task(item)
    except Exception as error:
        return False, _portable(error)


def _portable(error: Exception) -> Exception:
    """The error, or its words where it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _send(pipe: IO[bytes], message: tuple[bool, Any]) -> None:
    """Write one message and flush it."""
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()
