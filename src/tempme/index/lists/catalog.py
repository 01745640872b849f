"""Which contents an index has, which files have them, and where their moments lie.

Text is kept as bytes in ascending order and found by halving: a folder is a range of paths, and
nothing is made into objects of Python but what a search answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tempme.index.lists.array_file import Kind, Unusable
from tempme.index.moments import Video
from tempme.index.stores.paths import path_to_bytes, text_to_path

# The moments of a content that no part has: they are in memory.
IN_MEMORY = -1
# More are looked up in a table of all, which takes a moment to make.
FEW_PATHS = 64
KINDS: dict[str, Kind] = {
    "digests": ("|S", (None,)),
    "parts": ("<i4", (None,)),
    "places": ("<i4", (None,)),
    "checksums": ("<u4", (None,)),
    "text": ("|u1", (None,)),
    "text_ends": ("<i8", (None,)),
    "path_contents": ("<i4", (None,)),
}


@dataclass(frozen=True, eq=False)
class Catalog:
    """Contents in ascending order of their digests, and paths in ascending order of their bytes.

    Content i has its moments in part `parts[i]` as the content `places[i]` of it; `checksums[i]`
    is theirs. Path j has content `path_contents[j]`.
    """

    digests: NDArray[np.bytes_]
    parts: NDArray[np.int32]
    places: NDArray[np.int32]
    checksums: NDArray[np.uint32]
    text: NDArray[np.uint8]
    text_ends: NDArray[np.int64]
    path_contents: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What is written of it."""
        return {name: getattr(self, name) for name in KINDS}

    def check(self, part_sizes: Sequence[int]) -> None:
        """Unusable unless all numbers point to where something is."""
        count, paths = len(self.digests), len(self.path_contents)
        sizes = np.array([*part_sizes, 0])
        is_sound = (
            len(self.parts) == len(self.places) == len(self.checksums) == count
            and len(self.text_ends) == paths
            and bool((self.digests[1:] > self.digests[:-1]).all())
            and bool(((self.parts >= 0) & (self.parts < len(part_sizes))).all())
            and bool(((self.places >= 0) & (self.places < sizes[self.parts])).all())
            and bool((np.diff(self.text_ends, prepend=0) >= 0).all())
            and (self.text_ends[-1] if paths else 0) == len(self.text)
            and bool(((self.path_contents >= 0) & (self.path_contents < count)).all())
            and bool((np.bincount(self.path_contents, minlength=count) > 0).all())
        )
        if not is_sound:
            raise Unusable("its numbers are not as we write them")

    def find(self, digest: str) -> int | None:
        """The number of a content."""
        wanted = digest.encode()
        place = int(np.searchsorted(self.digests, np.bytes_(wanted)))
        is_there = place < len(self) and bytes(self.digests[place]) == wanted
        return place if is_there else None

    def digest(self, content: int) -> str:
        """The digest of a content."""
        return bytes(self.digests[content]).decode()

    def paths(self, content: int) -> tuple[Path, ...]:
        """The files that have a content, in order."""
        first, last = np.searchsorted(self._by_content[0], (content, content + 1))
        return tuple(sorted(self._path(int(one)) for one in self._by_content[1][first:last]))

    def under(self, folder: Path) -> NDArray[np.int32]:
        """The paths at and below a folder, by number."""
        name = path_to_bytes(folder)
        inside = name.removesuffix(os.sep.encode()) + os.sep.encode()
        after = inside[:-1] + bytes([inside[-1] + 1])
        return np.array(
            [*self._range(name, name + b"\0"), *self._range(inside, after)], dtype=np.int32
        )

    def named(self, paths: Iterable[Path]) -> NDArray[np.int32]:
        """Those of the paths that it knows, by number."""
        wanted = [path_to_bytes(path) for path in paths]
        if len(wanted) < FEW_PATHS:
            ranges = [self._range(text, text + b"\0") for text in wanted]
            return np.array([number for one in ranges for number in one], dtype=np.int32)
        found = [self._numbers[text] for text in wanted if text in self._numbers]
        return np.array(found, dtype=np.int32)

    def text_of(self, number: int) -> bytes:
        """A path as bytes."""
        start = int(self.text_ends[number - 1]) if number else 0
        return self.text[start : int(self.text_ends[number])].tobytes()

    def _path(self, number: int) -> Path:
        try:
            return text_to_path(self.text_of(number).decode())
        except ValueError as error:
            raise Unusable("a path is damaged") from error

    def _range(self, low: bytes, high: bytes) -> range:
        return range(self._first_from(low), self._first_from(high))

    def _first_from(self, text: bytes) -> int:
        """The number of the first path that is not before `text`."""
        low, high = 0, len(self.path_contents)
        while low < high:
            middle = (low + high) // 2
            if self.text_of(middle) < text:
                low = middle + 1
            else:
                high = middle
        return low

    @cached_property
    def _numbers(self) -> Mapping[bytes, int]:
        text, ends = self.text.tobytes(), self.text_ends.tolist()
        starts = [0, *ends[:-1]] if ends else []
        return {text[a:b]: i for i, (a, b) in enumerate(zip(starts, ends, strict=True))}

    @cached_property
    def _by_content(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        order = np.argsort(self.path_contents, kind="stable")
        return self.path_contents[order], order


class PathsOf(Sequence[tuple[Path, ...]]):
    """The files of some contents, made into paths where they are asked for."""

    def __init__(self, catalog: Catalog, contents: NDArray[Any]) -> None:
        self._catalog, self._contents = catalog, contents

    def __len__(self) -> int:
        return len(self._contents)

    @overload
    def __getitem__(self, place: int) -> tuple[Path, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[Path, ...]]: ...

    def __getitem__(self, place: int | slice) -> tuple[Path, ...] | Sequence[tuple[Path, ...]]:
        if isinstance(place, slice):
            return PathsOf(self._catalog, self._contents[place])
        return self._catalog.paths(int(self._contents[place]))


def catalog_of(
    videos: Sequence[Video], known: Catalog | None, counts: NDArray[np.int64]
) -> Catalog:
    """The catalogue of the ok rows of an index.

    Where `known` has a content as its rows say, it keeps its place; `counts` are the moments of the
    contents of `known`. Other contents are in memory, in ascending order from 0.
    """
    texts = [path_to_bytes(one.path) for one in videos]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    text = b"".join([texts[place] for place in order])
    named = np.array([one.digest.encode() for one in videos], dtype=np.bytes_)
    digests, first, numbers = np.unique(named, return_index=True, return_inverse=True)
    rows = [videos[place] for place in first.tolist()]
    checksums = np.array([int(row.checksum or "0", 16) for row in rows], dtype=np.uint32)
    parts = np.full(len(digests), IN_MEMORY, dtype=np.int32)
    places = np.zeros(len(digests), dtype=np.int32)
    if known is not None and len(known) and len(digests):
        at = np.searchsorted(known.digests, digests).clip(max=len(known) - 1)
        sizes = np.array([row.num_moments for row in rows])
        is_signed = np.array([bool(row.checksum) for row in rows])
        same = (known.digests[at] == digests) & (counts[at] == sizes)
        same &= ~is_signed | (known.checksums[at] == checksums)
        parts[same], places[same] = known.parts[at[same]], known.places[at[same]]
        checksums[same] = known.checksums[at[same]]
    is_new = parts == IN_MEMORY
    places[is_new] = np.arange(is_new.sum())
    return Catalog(
        digests=digests,
        parts=parts,
        places=places,
        checksums=checksums,
        text=np.frombuffer(text, np.uint8),
        text_ends=np.cumsum([len(texts[place]) for place in order], dtype=np.int64),
        path_contents=numbers.astype(np.int32)[order],
    )
