"""How a worker reads a file, but for names that say what goes wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tempme.video import loading, workers


def faulty_pieces(path: Path, beat: Any, **how: Any) -> Iterator[Any]:
    if "crash" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path.name:
        time.sleep(1000)
    if "exit" in path.name:
        os._exit(3)
    if "slow" in path.name:
        for _ in range(6):
            time.sleep(0.7)
            beat()
    if "bug" in path.name:
        workers.iter_windows = broken  # this process is thrown away
    yield from workers.read_pieces(path, beat, **how)


def broken(path: Path, *how: Any, **others: Any) -> Iterator[Any]:
    if "bug" in path.name:
        raise RuntimeError("a bug")
    yield from loading.iter_windows(path, *how, **others)
