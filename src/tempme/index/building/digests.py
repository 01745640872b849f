"""What the content of a file is called, and whether it is still the same."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tempme.index.building.ahead import ahead
from tempme.index.building.scan import File

DIGEST_LETTERS = 32
# Times of files are as coarse as two seconds (FAT): a younger file may change without a trace.
COARSEST_NS = 2 * 10**9
TRIES = 2
CHANGED = "changed while it was read"


class Stamp(NamedTuple):
    """What of a file changes with every write to it; no program can set `changed_ns`."""

    size_bytes: int
    mtime_ns: int
    changed_ns: int
    inode: int


@dataclass(frozen=True)
class Identified:
    """A file and the name of its content; `digest` is empty where it could not be read.

    `stamp` was true before, during and after the digest was taken, at `seen_ns`.
    """

    file: File
    digest: str
    reason: str = ""
    stamp: Stamp | None = None
    seen_ns: int = 0


def identify(files: Iterable[File]) -> Iterator[Identified]:
    """The files in their order with their digests, read in threads while the caller works."""
    return ahead(_identify, files)


def digest_of(path: Path) -> str:
    """The name of a file's content: SHA-256 of all of it, its first 128 bits in hexadecimal.

    All of it, because a file that is still being copied or downloaded keeps its size while its
    middle fills up, which samples of it can miss; at 1.7 GB/s on one core (SHA instructions) that
    costs a few per cent of decoding the same file, and decoding finds it in the page cache.
    """
    with path.open("rb", buffering=0) as file:
        return name_of_content(hashlib.file_digest(file, "sha256"))


def name_of_content(digest: hashlib._Hash) -> str:
    """The name of a content by its SHA-256."""
    return digest.hexdigest()[:DIGEST_LETTERS]


def is_still(item: Identified) -> bool:
    """Whether the file has had the content that `item` names all the time since.

    Equal stamps prove it, but for a file so young that a change within one tick of the clock would
    not show, or one whose times were set by hand: such a file is read once more.
    """
    try:
        now = _stamp(item.file.path)
        if item.stamp is None or now._replace(changed_ns=0) != item.stamp._replace(changed_ns=0):
            return False
        was_young = item.seen_ns - item.stamp.changed_ns < COARSEST_NS
        if not was_young and now == item.stamp:
            return True
        return digest_of(item.file.path) == item.digest and _stamp(item.file.path) == now
    except OSError:
        return False


def _identify(file: File) -> Identified:
    try:
        for _ in range(TRIES):
            seen, before = time.time_ns(), _stamp(file.path)
            digest = digest_of(file.path)
            if _stamp(file.path) == before:
                now = replace(file, size_bytes=before.size_bytes, mtime_ns=before.mtime_ns)
                return Identified(now, digest, stamp=before, seen_ns=seen)
    except OSError as error:
        return Identified(file, "", (error.strerror or str(error)).lower())
    return Identified(file, "", CHANGED)


def _stamp(path: Path) -> Stamp:
    about = path.stat()
    return Stamp(about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
