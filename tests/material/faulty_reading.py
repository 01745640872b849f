"""How a worker reads a file, but for names that say what goes wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tempme.video import loading, workers
from tempme.video.films import Assignment
from tempme.video.stretches import Stretch


def faulty_pieces(path: Path, beat: Any, **how: Any) -> Iterator[Any]:
    DOINGS.get(path.stem, lambda *_: None)(path, beat)
    yield from workers.read_pieces(path, beat, **how)


def dying_answer(asked: Assignment, beat: Any, **how: Any) -> Iterator[Any]:
    """What a worker does, but for the third stretch of a film, at which it crashes."""
    if isinstance(asked.what, Stretch) and asked.part == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    yield from workers.answer(asked, beat, **how)


def kill(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_once(path: Path, _: Any) -> None:
    mark = path.with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        kill()


def take_all_memory(*_: Any) -> None:
    held = []
    while True:
        held.append(np.ones(2**20))
        time.sleep(0.005)


def get_on_slowly(_: Path, beat: Any) -> None:
    for _ in range(6):
        time.sleep(0.7)
        beat()


def break_reading(*_: Any) -> None:
    workers.pieces_or_split = broken  # this process is thrown away


def broken(path: Path, *how: Any, **others: Any) -> Iterator[Any]:
    if "bug" in path.name:
        raise RuntimeError("a bug")
    yield from loading.pieces_or_split(path, *how, **others)


DOINGS: dict[str, Any] = {
    "crash": lambda *_: os.kill(os.getpid(), signal.SIGSEGV),
    "killed": kill,
    "victim": kill_once,
    "hog": take_all_memory,
    "hang": lambda *_: time.sleep(1000),
    "exit": lambda *_: os._exit(3),
    "slow": get_on_slowly,
    "bug": break_reading,
}
