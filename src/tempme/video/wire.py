"""Messages between a process and its decode workers: pickles with their length in front."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tempme.video.values import Sampling

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Recipe:
    """How every file of one run is read; fields as in `iter_windows`."""

    frames: int
    every_seconds: float
    overlap: float
    size: int
    sampling: Sampling
    timeout_seconds: float
    total_seconds: float
    piece_windows: int
    threads: int


@dataclass(frozen=True)
class Task:
    """One file to read."""

    path: Path
    recipe: Recipe


@dataclass(frozen=True)
class Ready:
    """A worker has started, or is done with a file."""


@dataclass(frozen=True)
class Alive:
    """A worker is still getting on with its file."""


def send(pipe: IO[bytes], message: Any) -> None:
    """Write one message and flush it."""
    body = pickle.dumps(message, protocol=5)
    pipe.write(LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read one message; `EOFError` when the other side is gone, even in the midst of one."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return pickle.loads(body)
