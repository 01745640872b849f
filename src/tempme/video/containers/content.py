"""The bytes of a file, looked at here and there.

Not a map of the file: a process that reads a map dies when somebody cuts the file short meanwhile.
"""

from __future__ import annotations

import os
from typing import IO, overload

BLOCK_BYTES = 2**12
SEARCHED_BYTES = 2**20


class Content:
    """The bytes of an open file by their places, as of a `bytes`; no negative ones."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._num_bytes = os.fstat(file.fileno()).st_size
        self._start, self._block = 0, b""

    def __len__(self) -> int:
        return self._num_bytes

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> bytes: ...

    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, slice):
            start, stop, _ = place.indices(self._num_bytes)
            return self._read(start, max(0, stop - start))
        if not self._start <= place < self._start + len(self._block):
            self._start, self._block = place, self._read(place, BLOCK_BYTES)
        return self._block[place - self._start]

    def rfind(self, wanted: bytes, stop: int | None = None) -> int:
        """Where the last `wanted` before `stop` begins; -1 if there is none."""
        end = self._num_bytes if stop is None else stop
        while end > 0:
            start = max(0, end - SEARCHED_BYTES)
            place = self._read(start, end - start).rfind(wanted)
            if place >= 0:
                return start + place
            # The next part takes in what may begin before this one and end in it.
            end = start + len(wanted) - 1 if start else 0
        return -1

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)
