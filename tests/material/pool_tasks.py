"""Tasks for worker processes that do what decoders do: answer in pieces, die, hang, and worse."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Beat = Callable[[], None]


class Order(NamedTuple):
    """What to do with an item: `num` pieces, `what` at the piece `at`; `log` tells of each.

    `num_bytes` makes pieces large.
    """

    name: str
    num: int = 3
    what: str = ""
    at: int = 0
    log: Path | None = None
    num_bytes: int = 0


class Unportable(Exception):
    """Its pickle cannot be read again."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


class Unspeakable(Exception):
    """Neither its pickle nor its words can be had."""

    def __reduce__(self) -> str:
        raise TypeError("no pickle")

    def __str__(self) -> str:
        raise ValueError("no words")


def pieces(order: Order, beat: Beat) -> Iterator[tuple[str, int, np.ndarray]]:
    """(name, number, ballast) for every piece."""
    for number in range(order.num):
        if order.log is not None:
            note(order.log, f"{order.name} {number} {os.getpid()}")
        if number == order.at and order.what:
            DOINGS[order.what](order, beat)
        yield order.name, number, np.zeros(order.num_bytes, np.uint8)


def note(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(line + "\n")


def kill(_: Order, __: Beat) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_once(order: Order, _: Beat) -> None:
    """Die, unless the log tells of another process that did."""
    assert order.log is not None
    mark = order.log.with_suffix(".mark")
    if not mark.exists():
        mark.touch()
        kill(order, _)


def hang(_: Order, __: Beat) -> None:
    time.sleep(1000)


def beat_slowly(_: Order, beat: Beat) -> None:
    """Longer than any limit of the tests, with signs of life."""
    for _ in range(10):
        time.sleep(0.25)
        beat()


def pause(_: Order, __: Beat) -> None:
    time.sleep(0.7)


def flood(_: Order, __: Beat) -> None:
    """What a library may print, by every way there is."""
    for _ in range(2000):
        print("printed " * 20)
    sys.stdout.flush()
    os.write(1, b"written\n" * 20_000)
    os.system("echo echoed")


def hog(_: Order, __: Beat) -> None:
    """Take memory without an end."""
    held = []
    while True:
        held.append(np.ones(2**20))
        time.sleep(0.005)


def refuse(order: Order, _: Beat) -> None:
    raise {"port": Unportable(1, 2)}.get(order.name, Unspeakable())


def leave(_: Order, __: Beat) -> None:
    sys.exit(3)


DOINGS: dict[str, Callable[[Order, Beat], Any]] = {
    "kill": kill,
    "kill once": kill_once,
    "hang": hang,
    "beat": beat_slowly,
    "pause": pause,
    "flood": flood,
    "hog": hog,
    "refuse": refuse,
    "leave": leave,
    "segv": lambda _, __: os.kill(os.getpid(), signal.SIGSEGV),
}


def busy(order: tuple[str, Path]) -> str:
    """Log the begin and the end of a short piece of work; "killed" dies once at once."""
    name, log = order
    if name == "killed" and not log.with_suffix(".mark").exists():
        log.with_suffix(".mark").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    note(log, f"begin {name}")
    time.sleep(0.3)
    note(log, f"end {name}")
    return name


def blank(num_bytes: int) -> np.ndarray:
    return np.arange(num_bytes, dtype=np.uint8)


def keep_and_tell(num_bytes: int) -> int:
    """Hold so much more for ever; the number of the process."""
    KEPT.append(np.ones(num_bytes, dtype=np.uint8))
    return os.getpid()


KEPT: list[np.ndarray] = []
