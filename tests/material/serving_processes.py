"""`tempme serve` as a process of its own, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

PROGRAM = "from tempme.cli import main; main()"


@contextmanager
def serving(index: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--index", str(index), "--port", "0", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), process.communicate()
        yield process, line.split()[1]
    finally:
        process.kill()
        process.communicate()


def answer(address: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = Request(address + path, data, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as response:
        return json.load(response)
