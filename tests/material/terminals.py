"""A pretend terminal: runs the command line in this process, as a shell would call it."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tempme import cli


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line that says what is wrong."""
        assert self.code == 1, self.err
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")


class Terminal:
    """`tempme`, `first` and the words of the call."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *first: str
    ) -> None:
        self.monkeypatch, self.capfd, self.first = monkeypatch, capfd, first

    def __call__(self, *words: object) -> Ended:
        self.monkeypatch.setattr(sys, "argv", ["tempme", *self.first, *map(str, words)])
        self.monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
        handler = signal.getsignal(signal.SIGINT)
        try:
            with pytest.raises(SystemExit) as end:
                cli.main()
        finally:
            signal.signal(signal.SIGINT, handler)
        out, err = self.capfd.readouterr()
        return Ended(int(end.value.code or 0), out, err)
