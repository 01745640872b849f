"""Which files lie below the given paths, and what their content is called."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.errors import BadSetting

# A file with such a name is reported when it cannot be read; any other file that does not open
# as a video is simply something else. (.ts and .mts are as often TypeScript as video.)
_SUFFIXES = "3gp asf avi divx f4v flv gif m2ts m4v mkv mov mp4 mpeg mpg mxf ogv rmvb vob webm wmv"
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _SUFFIXES.split())
DIGEST_LETTERS = 32


@dataclass(frozen=True)
class File:
    """An ordinary file as it was seen: `path` is real, free of symbolic links."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Unreadable:
    """A folder or file that could not be looked into, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What lies on disk: files ordered by path, and what could not be seen."""

    files: tuple[File, ...]
    unreadable: tuple[Unreadable, ...]


def find_files(roots: Sequence[Path]) -> Found:
    """All ordinary files at and below `roots`.

    Links are followed and each file is found once, under its real path; hidden folders and index
    folders are left out unless given by name. BadSetting if a root does not exist.
    """
    files: dict[Path, File] = {}
    unreadable: dict[Path, Unreadable] = {}
    seen: set[Path] = set()
    for root in roots:
        if not _exists(root):
            raise BadSetting(f"no such file or folder: {_shown(root)}")
        for entry in _below(Path(os.path.realpath(root)), seen):
            if isinstance(entry, File):
                files[entry.path] = entry
            else:
                unreadable[entry.path] = entry
    ordered = tuple(files[path] for path in sorted(files))
    return Found(files=ordered, unreadable=tuple(unreadable[path] for path in sorted(unreadable)))


def digest_of(path: Path) -> str:
    """The name of a file's content: SHA-256 of all of it, its first 128 bits in hexadecimal.

    All of it, because a file that is still being copied or downloaded keeps its size while its
    middle fills up, which samples of it can miss; at 1.7 GB/s on one core (SHA instructions) that
    costs a few per cent of decoding the same file, and decoding finds it in the page cache.
    """
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LETTERS]


def has_vanished(path: Path) -> bool:
    """Whether the file is gone for sure; a folder that may not be entered proves nothing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _below(root: Path, seen: set[Path]) -> Iterator[File | Unreadable]:
    """Depth first without recursion: a folder tree may be deeper than Python's stack."""
    stack = [root]
    while stack:
        path = stack.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            about = path.stat()
            if stat.S_ISDIR(about.st_mode):
                stack.extend(_children(path))
        except OSError as error:
            yield Unreadable(path, (error.strerror or str(error)).lower())
            continue
        if stat.S_ISREG(about.st_mode):  # a pipe or a device would block whoever opens it
            yield File(path, about.st_size, about.st_mtime_ns)


def _children(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not _is_passed_over(entry)]
    return [Path(os.path.realpath(e.path) if e.is_symlink() else e.path) for e in kept]


def _is_passed_over(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("._"):  # what macOS leaves beside each file on a foreign disk
        return True
    if _is_folder(entry):
        return entry.name.startswith(".") or entry.name.endswith(".tempme")
    return entry.is_symlink() and not _exists(Path(entry.path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
