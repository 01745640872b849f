"""Messages between a process and its workers: a kind, a pickle, and large buffers as they are.

Arrays travel beside the pickle and are not copied into it, so a message takes no more memory than
what it carries. What cannot be pickled is known before the first byte is written. The head comes
first and alone, so a reader knows that a piece is there before it takes the memory for it.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BufferedReader
from typing import IO, Any, TypeAlias, cast

Parts: TypeAlias = Sequence[bytes | memoryview]
Beat: TypeAlias = Callable[[], None]

HEAD = struct.Struct("<BQI")
LENGTH = struct.Struct("<Q")


class Kind(IntEnum):
    """What a message is: the first two go to a worker, the others come from it."""

    START = 1  # a `Start`
    ITEM = 2  # the next item
    READY = 3  # the task could be loaded
    ALIVE = 4  # the item is not done, but the work goes on
    PIECE = 5  # a piece of the answer, or all of it
    DONE = 6  # no more pieces; the resident bytes of the process, None where unknown
    RAISED = 7  # the error that the task raised


@dataclass(frozen=True)
class Start:
    """What a worker does with every item.

    task: `task(item)` answers once; where `is_in_pieces`, `task(item, beat)` yields the pieces of
    its answer and calls `beat` as a sign of life, which is passed on every `beat_seconds` at most.
    memory_bytes: what the process may hold; None: no limit.
    """

    task: Callable[[Any], Any] | Callable[[Any, Beat], Iterator[Any]]
    is_in_pieces: bool
    beat_seconds: float
    memory_bytes: int | None


@dataclass(frozen=True)
class Head:
    """What is read before the rest of a message."""

    kind: Kind
    num_bytes: int
    num_buffers: int


def packed(kind: Kind, value: Any = None) -> Parts:
    """A message ready to be written; raises what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    lengths = b"".join(LENGTH.pack(part.nbytes) for part in raw)
    return [HEAD.pack(kind, len(body), len(raw)) + lengths, body, *raw]


def send(pipe: IO[bytes], message: Parts) -> None:
    """Write a message and flush it."""
    for part in message:
        pipe.write(part)
    pipe.flush()


def receive_head(pipe: IO[bytes]) -> Head:
    """The begin of the next message; `EOFError` when the other side is gone."""
    kind, num_bytes, num_buffers = HEAD.unpack(_exactly(pipe, HEAD.size))
    return Head(Kind(kind), num_bytes, num_buffers)


def receive_body(pipe: IO[bytes], head: Head) -> Any:
    """The value of a message; `EOFError` when the other side went in the midst of it."""
    lengths = _exactly(pipe, LENGTH.size * head.num_buffers)
    body = _exactly(pipe, head.num_bytes)
    buffers = [_exactly(pipe, length) for (length,) in LENGTH.iter_unpack(lengths)]
    return pickle.loads(body, buffers=buffers)


def receive(pipe: IO[bytes]) -> tuple[Kind, Any]:
    """A whole message."""
    head = receive_head(pipe)
    return head.kind, receive_body(pipe, head)


def _exactly(pipe: IO[bytes], length: int) -> bytearray:
    found = bytearray(length)
    # It goes on until all is there, or the other side gone.
    if cast("BufferedReader", pipe).readinto(found) < length:
        raise EOFError
    return found
