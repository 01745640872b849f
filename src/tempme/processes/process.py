"""One worker process, from its start to its end, as the process that started it sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import IO, Any

from tempme.processes.messages import Head, Kind, Parts, receive_body, receive_head, send

# What a terminal sends (Ctrl-C) goes to the parent alone, which ends its workers.
OWN_GROUP = 0 if os.name == "posix" else None
PROGRAM = "from tempme.processes.program import serve; serve()"


class Process:
    """A running worker; `OSError` if it cannot be started.

    `was_late` after it was ended for its silence. `num_done` counts the items it has answered.
    """

    def __init__(self) -> None:
        self.was_late = False
        self.num_done = 0
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            process_group=OWN_GROUP,
        )

    def send(self, message: Parts, *, limit_seconds: float | None) -> None:
        """Write a message; `OSError` or `EOFError` where the process is gone."""
        with self._in_time(limit_seconds):
            send(_there(self._popen.stdin), message)

    def receive(
        self, *, limit_seconds: float | None, before_piece: Callable[[], None] = lambda: None
    ) -> tuple[Kind, Any]:
        """The next message but signs of life, after which the time limit starts anew.

        `before_piece` may wait until there is room for a piece: the clock stands still meanwhile.
        """
        while True:
            head = self._head(limit_seconds)
            if head.kind is Kind.PIECE:
                before_piece()
            with self._in_time(limit_seconds):
                value = receive_body(_there(self._popen.stdout), head)
            if head.kind is not Kind.ALIVE:
                return head.kind, value

    def kill(self) -> None:
        """End it now."""
        self._popen.kill()

    def bury(self, *, patience_seconds: float) -> int:
        """Wait for its end, or end it after a while; its exit code, once its pipes are closed."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(patience_seconds)
        self._popen.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with suppress(OSError):
                _there(pipe).close()
        return self._popen.wait()

    def _head(self, limit_seconds: float | None) -> Head:
        with self._in_time(limit_seconds):
            return receive_head(_there(self._popen.stdout))

    @contextmanager
    def _in_time(self, limit_seconds: float | None) -> Iterator[None]:
        """End the process if what happens within takes longer."""
        self.was_late = False
        if limit_seconds is None:
            yield
            return
        clock = Timer(limit_seconds, self._give_up)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def _give_up(self) -> None:
        self.was_late = True
        self._popen.kill()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EOFError
    return pipe


def cause_of_end(code: int) -> str:
    """An exit code in words: -11 -> "SIGSEGV", 3 -> "exit status 3"."""
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
