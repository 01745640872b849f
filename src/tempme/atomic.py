"""Files that are there as a whole or not at all: what stood there stays until all is written."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from tempme.untrusted import open_regular

DRAFT = re.compile(r"\..+\.[0-9a-f]+\.part(\.[^.]*)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden draft beside `path`, to be written, which then takes its place; its folder is made.

    Where that fails the draft is gone, and the OSError names `path`. Drafts of `path` that dead
    processes left are removed.
    """
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path.parent, of=path)
        with _reserved(draft):
            yield draft
            draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):  # there no longer, or out of reach with its folder
            draft.unlink()


def check_writable(path: Path) -> None:
    """OSError, which names `path`, where a file cannot be written there; its folder is made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def is_draft(name: str) -> bool:
    """Whether `replacing` gives such names to drafts."""
    return DRAFT.fullmatch(name) is not None


def remove_drafts(folder: Path, *, of: Path | None = None) -> None:
    """Remove what processes that were killed left in `folder`; drafts in the making stay.

    `of`: only drafts of this path.
    """
    for draft in _drafts(folder):
        if of is not None and not _is_of(draft.name, of):
            continue
        with suppress(OSError), open_regular(draft, flags=os.O_RDWR) as file:
            if _lock(file):
                draft.unlink()


def _drafts(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.name.startswith(".") and is_draft(e.name)]
    except OSError:  # not there, or not ours to look into
        return []


def _is_of(name: str, path: Path) -> bool:
    rest = name.removeprefix(f".{path.stem}.").removesuffix(f".part{path.suffix}")
    return rest.isalnum()


@contextmanager
def _reserved(draft: Path) -> Iterator[None]:
    """A new empty file, locked while it is written: the kernel drops the lock with its process."""
    with open_regular(draft, flags=os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
        _lock(file)
        yield


def _lock(file: BinaryIO) -> bool:
    """Whether nobody else holds the lock; true where there are none, and nothing is left alone."""
    try:
        import fcntl
    except ImportError:  # Windows, which lets nobody remove a file that is open
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
