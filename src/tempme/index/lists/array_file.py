"""Arrays in a file that others may have written or damaged, of which parts are read.

One array, the rows, comes first and is read piece by piece; then come arrays that are read at once,
then a table in JSON that names all of them with a checksum each, and last the checksum of the
table. A file that was cut short has no such end. Nothing is mapped into memory: where a file
shrinks or a disk fails under a map, the process dies.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tempme.untrusted import MEBIBYTE, open_regular, parsed_json

MAGIC = b"tempme lists 1\n\0"
_END = struct.Struct("<QI16s")
# No table of ours comes near to this.
MOST_TABLE_BYTES = 64 * MEBIBYTE
ROWS = "rows"
# Type and shape of an array; None where any length may be.
Kind = tuple[str, tuple[int | None, ...]]
Kinds = Mapping[str, Kind]


class Unusable(Exception):
    """A file is not as it was written; whoever reads it goes without."""


@dataclass(frozen=True)
class ReadArrays:
    """What is read at once of a file: its facts and its arrays, all held against checksums."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def write_arrays(
    path: Path,
    facts: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    rows: Iterable[NDArray[Any]] = (),
) -> None:
    """Write a new file, through to the disk; OSError where that fails."""
    with path.open("wb") as file:
        length = 0
        for piece in rows:
            length += file.write(np.ascontiguousarray(piece).data)
        table: dict[str, Any] = {"facts": dict(facts), ROWS: length, "arrays": {}}
        for name, array in arrays.items():
            data = np.ascontiguousarray(array)
            content = data.tobytes()
            place = {"type": data.dtype.str, "shape": data.shape, "start": file.tell()}
            table["arrays"][name] = {**place, "checksum": crc32(content)}
            file.write(content)
        told = json.dumps(table).encode()
        file.write(told)
        file.write(_END.pack(len(told), crc32(told), MAGIC))
        file.flush()
        os.fsync(file.fileno())


class ArrayFile:
    """A file that `write_arrays` wrote, open for reading by any number of threads.

    `kinds` are the arrays that it has to have, or what says so of its facts. Unusable for whatever
    is not as we write it, OSError where it cannot be read.
    """

    def __init__(self, path: Path, kinds: Kinds | Callable[[Mapping[str, Any]], Kinds]) -> None:
        self._lock = threading.Lock()
        with open_regular(path) as file:
            self._file = os.dup(file.fileno())
        # Some thread may still read what another has found to be old: it closes with its last user.
        self.close = weakref.finalize(self, os.close, self._file)
        try:
            self.size = os.fstat(self._file).st_size
            self.contents = self._read_contents(kinds)
        except BaseException:
            self.close()
            raise

    def read(self, start: int, length: int) -> bytearray:
        """So many bytes from there on; Unusable where the file has become shorter."""
        buffer = bytearray(length)
        self.read_into(memoryview(buffer), start)
        return buffer

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill the view with what is there; Unusable where the file has become shorter."""
        done = self._read_some(view, start)
        while done < len(view):
            read = self._read_some(view[done:], start + done)
            if not read:
                raise Unusable("it has become shorter")
            done += read

    def _read_some(self, view: memoryview, start: int) -> int:
        if sys.platform != "win32":
            return os.preadv(self._file, [view], start)
        with self._lock:
            os.lseek(self._file, start, os.SEEK_SET)
            content = os.read(self._file, len(view))
        view[: len(content)] = content
        return len(content)

    def _read_contents(self, kinds: Kinds | Callable[[Mapping[str, Any]], Kinds]) -> ReadArrays:
        if self.size < _END.size:
            raise Unusable("it is cut short")
        length, checksum, magic = _END.unpack(self.read(self.size - _END.size, _END.size))
        if magic != MAGIC or length > min(MOST_TABLE_BYTES, self.size - _END.size):
            raise Unusable("it has another format, or is cut short")
        told = self.read(self.size - _END.size - length, length)
        if crc32(told) != checksum:
            raise Unusable("its table is damaged")
        try:
            table = parsed_json(bytes(told))
            self.rows_bytes = int(table[ROWS])
            places, facts = table["arrays"], dict(table["facts"])
            wanted = kinds(facts) if callable(kinds) else kinds
            arrays = {name: self._array(places[name], kind) for name, kind in wanted.items()}
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise Unusable(f"its table is not as we write it: {error}") from error
        if not 0 <= self.rows_bytes <= self.size:
            raise Unusable("its rows are not in it")
        return ReadArrays(facts, arrays)

    def _array(self, place: Mapping[str, Any], kind: Kind) -> NDArray[Any]:
        wanted, shape = kind
        found = tuple(int(length) for length in place["shape"])
        fits = len(found) == len(shape) and all(
            has >= 0 and want in (None, has) for has, want in zip(found, shape, strict=True)
        )
        if not (place["type"] == wanted or _is_text(wanted, place["type"])) or not fits:
            raise ValueError(f"{place['type']} {found} where {wanted} {shape} belongs")
        dtype: DTypeLike = np.dtype(str(place["type"]))
        start, length = (
            int(place["start"]),
            np.dtype(dtype).itemsize * int(np.prod(found, dtype=object)),
        )
        if start < 0 or start + length > self.size:
            raise ValueError("an array is not in the file")
        content = self.read(start, length)
        if crc32(content) != place["checksum"]:
            raise ValueError("an array is damaged")
        return np.frombuffer(content, dtype).reshape(found)


def _is_text(wanted: str, found: object) -> bool:
    """Whether both are bytes of a fixed length, as names are kept; of any length up to 4096."""
    digits = str(found).removeprefix("|S")
    return wanted == "|S" and digits.isdigit() and 1 <= int(digits) <= 4096
