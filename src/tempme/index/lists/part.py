"""One part of the lists on disk: the moments of some contents, list by list.

The rows of a list lie together, in the order of contents and of time, so that looking into a list
is one read. An index grows by parts; contents that are gone stay in a part until it is written
anew.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.array_file import ArrayFile, Kind, Unusable
from tempme.index.lists.half import BLOCK, RowBlock, factor_of, is_finite, products

# Beyond the age of cinema: a time in seconds that no video has.
LONGEST_SECONDS = 1e10
# A read takes as long as so many rows do within a read.
ROWS_PER_READ = 8
KINDS: dict[str, Kind] = {
    "owner": ("<i4", (None,)),
    "position": ("<i4", (None,)),
    "norms": ("<f4", (None,)),
    "spans": ("<f8", (None, 2)),
    "first": ("<i8", (None,)),
    "bounds": ("<i8", (None,)),
    "sums": ("<u4", (None,)),
}


class PartRows(Protocol):
    """What a search sees of a part, be it on disk or in memory; `ListsPart` says what it means."""

    owner: NDArray[np.int32]
    norms: NDArray[np.float32]
    spans: NDArray[np.float64]
    position: NDArray[np.int32]
    first: NDArray[np.int64]
    bounds: NDArray[np.int64]

    def __len__(self) -> int: ...

    def rows_in(self, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows in these lists, list by list."""

    def products_in(
        self, lists: NDArray[np.int64], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Queries (Q, D) -> products (Q, n) with the rows in these lists."""

    def products_of(
        self, lists: NDArray[np.int64], counts: NDArray[np.int64], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Products (Q, n) with the rows at the places `counts` of `rows_in(lists)`."""

    def features_at(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """The features (n, D) of these rows."""


class _Room(threading.local):
    """A block for each thread that searches."""

    def __init__(self, width: int) -> None:
        self.block = RowBlock(width)


class ListsPart:
    """A part, open. Its rows are numbered list by list, its contents from 0.

    `owner` (N,), `norms` (N,) and `spans` (N, 2) are the content, length and times of each row,
    `bounds` (L + 1) the rows of each list. The moments of content i, in order of time, are the rows
    `position[first[i]:first[i + 1]]`. Unusable where a file is not as we write it.
    """

    def __init__(self, path: Path, *, name: str, lists: int, width: int) -> None:
        self._file = ArrayFile(path, KINDS)
        try:
            contents = self._file.contents
            if contents.facts.get("name") != name:
                raise Unusable("it is another part")
            arrays = contents.arrays
            self.owner, self.norms = arrays["owner"], arrays["norms"]
            self.position, self.spans = arrays["position"], arrays["spans"]
            self.first, self.bounds, self._sums = arrays["first"], arrays["bounds"], arrays["sums"]
            self._row_bytes = 2 * width
            self._check(lists)
        except BaseException:
            self.close()
            raise
        self._is_checked = np.zeros(lists, dtype=bool)
        self._room = _Room(width)

    def __len__(self) -> int:
        return len(self.owner)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def rows_in(self, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows in these lists, list by list."""
        return rows_between(self.bounds, lists)

    def products_in(
        self, lists: NDArray[np.int64], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Queries (Q, D) -> products (Q, n) with the rows in these lists.

        Each list is held against its checksum the first time.
        """
        block, factor = self._room.block, factor_of(queries)
        starts, stops = self.bounds[lists].tolist(), self.bounds[lists + 1].tolist()
        found = np.empty((sum(stops) - sum(starts), len(queries)), dtype=np.float32)
        filled = done = 0
        for number, start, stop in zip(lists.tolist(), starts, stops, strict=True):
            checksum = 0
            while start < stop:
                rows = block.rows[filled : filled + stop - start]
                self._read(start, rows)
                if not self._is_checked[number]:
                    checksum = self._checked(rows, checksum)
                start, filled = start + len(rows), filled + len(rows)
                if filled == BLOCK:
                    block.multiply(block.rows, factor, out=found[done : done + filled])
                    filled, done = 0, done + filled
            if not self._is_checked[number] and checksum != self._sums[number]:
                raise Unusable("the features of a list are damaged")
            self._is_checked[number] = True
        block.multiply(block.rows[:filled], factor, out=found[done:])
        return found.T

    def products_of(
        self, lists: NDArray[np.int64], counts: NDArray[np.int64], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Products (Q, n) with some rows alone: those at the places `counts` of `rows_in(lists)`.

        `counts` ascend. They are read by themselves where few are far apart, else their lists are.
        """
        rows = self.rows_in(lists)[counts]
        numbers = np.searchsorted(self.bounds, rows, side="right") - 1
        used = np.unique(numbers)
        num_reads = int(np.count_nonzero(np.diff(rows, prepend=-2) != 1))
        whole = int((self.bounds[used + 1] - self.bounds[used]).sum())
        if len(rows) + ROWS_PER_READ * num_reads < whole and self._is_checked[used].all():
            return products(queries, self.features_at(rows))
        edges = np.searchsorted(numbers, [*used.tolist(), len(self.bounds)])
        places = rows - self.bounds[numbers]
        block, factor = self._room.block, factor_of(queries)
        found = np.empty((len(rows), len(queries)), dtype=np.float32)
        filled = done = 0
        for number, (begin, end) in zip(used.tolist(), pairwise(edges.tolist()), strict=True):
            of_list = self._list(number)
            while begin < end:
                some = places[begin : min(end, begin + BLOCK - filled)]
                room = block.rows[filled : filled + len(some)]
                np.take(of_list, some, axis=0, out=room, mode="clip")
                begin, filled = begin + len(some), filled + len(some)
                if filled == BLOCK:
                    block.multiply(block.rows, factor, out=found[done : done + filled])
                    filled, done = 0, done + filled
        block.multiply(block.rows[:filled], factor, out=found[done:])
        return found.T

    def _list(self, number: int) -> NDArray[np.float16]:
        """The rows of a list, held against its checksum the first time."""
        start, stop = self.bounds[number : number + 2].tolist()
        rows = np.empty((stop - start, self._row_bytes // 2), dtype="<f2")
        self._read(start, rows)
        if not self._is_checked[number]:
            if self._checked(rows, 0) != self._sums[number]:
                raise Unusable("the features of a list are damaged")
            self._is_checked[number] = True
        return rows

    @staticmethod
    def _checked(rows: NDArray[np.float16], checksum: int) -> int:
        if not is_finite(rows):
            raise Unusable("a feature is no number")
        return crc32(rows.data, checksum)

    def features_at(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """The features (n, D) of these rows, not held against anything: the caller has to."""
        order = np.argsort(rows, kind="stable")
        places = rows[order]
        sorted_rows = np.empty((len(rows), self._row_bytes // 2), dtype="<f2")
        breaks = np.flatnonzero(np.diff(places) != 1) + 1
        edges = np.array([0, *breaks, len(places)]) if len(places) else np.zeros(1, np.int64)
        starts = (places[edges[:-1]] * self._row_bytes).tolist()
        room = memoryview(sorted_rows.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        read_into = self._file.read_into
        for start, (begin, end) in zip(
            starts, pairwise((edges * self._row_bytes).tolist()), strict=True
        ):
            read_into(room[begin:end], start)
        found = np.empty_like(sorted_rows)
        found[order] = sorted_rows
        return found

    def _read(self, start: int, rows: NDArray[np.float16]) -> None:
        """Fill the array with rows from there on."""
        if len(rows):
            self._file.read_into(rows.view(np.uint8).reshape(-1).data, start * self._row_bytes)

    def _check(self, lists: int) -> None:
        """Unusable unless every number points to where something is, and times are some."""
        count = len(self.owner)
        same = all(len(one) == count for one in (self.norms, self.position, self.spans))
        if not same or self._file.rows_bytes != count * self._row_bytes:
            raise Unusable("its arrays do not belong together")
        if len(self.bounds) != lists + 1 or len(self._sums) != lists:
            raise Unusable("its lists are not those of the catalogue")
        start, end = self.spans[:, 0], self.spans[:, 1]
        is_sound = (
            _covers(self.bounds, count)
            and _covers(self.first, count)
            and _within(self.owner, len(self.first) - 1)
            and _within(self.position, count)
            and bool(((start >= 0) & (start <= end) & (end < LONGEST_SECONDS)).all())
            and bool(((self.norms > 0) & (self.norms < np.inf)).all())
        )
        if not is_sound:
            raise Unusable("its numbers are not as we write them")


def rows_between(bounds: NDArray[np.int64], numbers: NDArray[Any]) -> NDArray[np.int64]:
    """From `bounds[i]` up to `bounds[i + 1]` for each number i, one after the other."""
    starts, sizes = bounds[numbers], bounds[numbers + 1] - bounds[numbers]
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(sizes.sum())


def _covers(bounds: NDArray[np.int64], count: int) -> bool:
    return bool(len(bounds) and bounds[0] == 0 and bounds[-1] == count) and bool(
        (np.diff(bounds) >= 0).all()
    )


def _within(numbers: NDArray[Any], count: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < count)
