"""Commands of tempme forked from one process that has loaded everything: a start costs no seconds.

A child is a process of its own, in a session of its own, with everything it does after its imports
as in any other: what is killed here is what a person would kill. LanceDB is loaded by the child,
since a thread of its would not survive the fork; what it is made of is there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

LOADED = (
    "tempme.cli.index",
    "tempme.index.building.build",
    "tempme.retriever.retriever",
    "lance_namespace",
    "pandas",
    "pyarrow.dataset",
)


class Starter:
    """Starts commands; `close` ends the process that they come from."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, *words: object) -> Started:
        """Start `tempme WORDS`."""
        out, err = (Path(tempfile.mkstemp(prefix="soak-")[1]) for _ in range(2))
        pid = self.ask({"words": [*map(str, words)], "out": str(out), "err": str(err)})
        return Started(self, pid, out, err)

    def ask(self, question: dict[str, Any]) -> Any:
        """The answer of the process behind."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """No more commands."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


class Started:
    """A command under way, as `subprocess.Popen` would show it."""

    def __init__(self, starter: Starter, pid: int, out: Path, err: Path) -> None:
        self.pid, self.returncode = pid, None
        self._starter, self._files = starter, (out, err)

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._starter.ask({"poll": self.pid})
        return self.returncode

    def communicate(self, *, timeout: float) -> tuple[str, str]:
        """What it wrote, once it has ended; TimeoutExpired where it does not."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.02)
        out, err = (path.read_text("utf-8", "replace") for path in self._files)
        for path in self._files:
            path.unlink()
        return out, err

    def kill(self) -> None:
        """End it and wait."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        while self.poll() is None:
            time.sleep(0.02)


def _serve() -> None:
    import importlib

    import torch

    torch.set_num_threads(1)
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = _ended(asked["poll"]) if "poll" in asked else _forked(asked)
        print(json.dumps(answer), flush=True)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _forked(asked: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    for number, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (asked["out"], os.O_WRONLY), (asked["err"], os.O_WRONLY)]
    ):
        os.dup2(os.open(path, flags), number)
    # A soak in the background of a script ignores Ctrl-C; what it starts must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tempme", *asked["words"]]
    import tempme.cli

    tempme.cli.main()
    raise SystemExit(0)


if __name__ == "__main__":
    _serve()
