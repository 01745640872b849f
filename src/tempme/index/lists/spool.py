"""Moments on their way into a part: in a file without a name, as a million need a gigabyte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.array_file import write_arrays
from tempme.index.lists.half import widened
from tempme.index.lists.tree import Tree
from tempme.index.moments import Gallery

BLOCK = 8192
# Up to so many rows are read at once; of more, each list is read for itself.
ROWS_HELD = 16384


class Spool:
    """Moments content by content, in the order of arrival; a file in `folder` holds the features.

    It has no name, so it is gone when the process is, whatever ends that.
    """

    def __init__(self, folder: Path, *, width: int) -> None:
        self.width = width
        self.contents: list[str] = []
        self.checksums: list[int] = []
        self._spans: list[NDArray[np.float64]] = []
        self._norms: list[NDArray[np.float32]] = []
        self._counts: list[int] = []
        self._num_rows = 0
        self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115

    def __len__(self) -> int:
        return self._num_rows

    def close(self) -> None:
        """Drop what it holds."""
        self._file.close()

    def append(self, gallery: Gallery) -> None:
        """Take the moments of contents that it does not have."""
        bounds = np.append(gallery.first, len(gallery))
        for place, digest in enumerate(gallery.contents):
            rows = slice(int(bounds[place]), int(bounds[place + 1]))
            self.contents.append(digest)
            self.checksums.append(int(gallery.content(place).checksum, 16))
            self._counts.append(rows.stop - rows.start)
        self._spans.append(gallery.spans)
        for start in range(0, len(gallery), BLOCK):
            wide = widened(gallery.features[start : start + BLOCK])
            norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
            self._norms.append(norms.clip(1e-6))
        self._file.write(np.ascontiguousarray(gallery.features, "<f2").data)
        self._num_rows += len(gallery)

    @property
    def owner(self) -> NDArray[np.int32]:
        """The content of each row, by number (N,)."""
        return np.repeat(np.arange(len(self._counts), dtype=np.int32), self._counts)

    def blocks(self) -> Iterator[NDArray[np.float16]]:
        """All features (N, D), some thousand rows at a time."""
        for start in range(0, len(self), BLOCK):
            yield self._read(start, min(start + BLOCK, len(self)))

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.float16]:
        """The features of these rows, which are read in ascending runs."""
        found = np.empty((len(numbers), self.width), dtype=np.float16)
        edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
        for begin, end in pairwise(edges):
            if begin < end:
                start = int(numbers[begin])
                found[begin:end] = self._read(start, start + end - begin)
        return found

    def write(self, path: Path, tree: Tree, lists: NDArray[np.int32], *, name: str) -> None:
        """A part of all that it holds, `lists` (N,) being the list of each row."""
        order = np.argsort(lists, kind="stable")
        bounds = np.searchsorted(lists[order], np.arange(len(tree.centres) + 1))
        position = np.empty(len(self), dtype=np.int32)
        position[order] = np.arange(len(self), dtype=np.int32)
        sums = np.zeros(len(tree.centres), dtype=np.uint32)
        first = np.cumsum([0, *self._counts], dtype=np.int64)
        arrays = {
            "owner": self.owner[order],
            "position": position,
            "norms": np.concatenate([np.zeros(0, np.float32), *self._norms])[order],
            "spans": np.concatenate([np.zeros((0, 2)), *self._spans])[order].astype("<f8"),
            "first": first,
            "bounds": bounds.astype(np.int64),
            "sums": sums,
        }
        write_arrays(path, {"name": name}, arrays, rows=self._by_list(order, bounds, sums))

    def _by_list(
        self, order: NDArray[np.int64], bounds: NDArray[np.int64], sums: NDArray[np.uint32]
    ) -> Iterator[NDArray[np.float16]]:
        """The features list by list, the checksum of each written into `sums`."""
        whole = self._read(0, len(self)) if len(self) <= ROWS_HELD else None
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            chosen = order[bounds[number] : bounds[number + 1]]
            rows = self.rows(chosen) if whole is None else whole[chosen]
            sums[number] = crc32(rows.data)
            yield rows

    def _read(self, start: int, stop: int) -> NDArray[np.float16]:
        self._file.seek(start * 2 * self.width)
        content = self._file.read((stop - start) * 2 * self.width)
        return np.frombuffer(content, "<f2").reshape(stop - start, self.width)
