"""The boxes of an MP4 (ISO/IEC 14496-12): a size, a name, and what is in it."""

from __future__ import annotations

import string
from collections.abc import Container, Iterator
from typing import IO, TypeAlias

NAME_BYTES = frozenset((string.ascii_letters + string.digits + " _-").encode())
# No table is larger: what lies beyond is not looked at.
MOST_BYTES = 2**28

Box: TypeAlias = tuple[bytes, memoryview]


def box_size(head: bytes) -> int | None:
    """The size of a box; None for rubbish, and for a box that goes on to the file's end."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return size if size >= 8 and NAME_BYTES.issuperset(head[4:8]) else None


def outermost(file: IO[bytes], num_bytes: int, wanted: Container[bytes]) -> Iterator[Box]:
    """The boxes of these names that lie in no other, read one at a time."""
    place = 0
    while place + 8 <= num_bytes:
        file.seek(place)
        head = file.read(16)
        size = box_size(head)
        if size is None:
            return
        if head[4:8] in wanted:
            file.seek(place + 8)
            yield head[4:8], memoryview(file.read(min(size - 8, MOST_BYTES)))
        place += size


def boxes_in(body: memoryview) -> Iterator[Box]:
    """The boxes that follow each other in another one."""
    place = 0
    while place + 8 <= len(body):
        size = box_size(bytes(body[place : place + 16]))
        if size is None:
            return
        yield bytes(body[place + 4 : place + 8]), body[place + 8 : place + size]
        place += size


def named(body: memoryview, wanted: bytes) -> Iterator[memoryview]:
    """What is in each box of a name."""
    return (inner for name, inner in boxes_in(body) if name == wanted)


def inside(body: memoryview, *names: bytes) -> memoryview:
    """The box at a path of names; empty if it is not there."""
    for wanted in names:
        body = next(named(body, wanted), memoryview(b""))
    return body
