"""One writer at a time. The kernel drops the lock with its process, so none is ever stale."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tempme.errors import BadIndex, IndexBusy
from tempme.untrusted import open_regular, read_json

NAME = "lock"
_BUSY = "another run is writing to {what} {folder} ({who}); wait for it or stop it, then retry"


@contextlib.contextmanager
def writing(folder: Path, *, what: str = "the index") -> Iterator[None]:
    """Hold the write lock of the index at `folder`; IndexBusy if anyone has it.

    what: the folder's kind, for messages, where it is none of an index.
    """
    path = folder / NAME
    try:
        file = open_regular(path, flags=os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise BadIndex(f"cannot write to {what} {folder}: {_reason(error)}") from error
    with file:
        if not _acquire(file, folder) or not _is_at(path, file):
            raise IndexBusy(_BUSY.format(what=what, folder=folder, who=_owner(path)))
        _sign(file)
        yield


def _acquire(file: BinaryIO, folder: Path) -> bool:
    # A lock of the open file, not of the process: two threads exclude one another, and closing
    # another handle of the file gives nothing away. Programs that we start do not inherit it.
    try:
        import fcntl
    except ImportError:  # Windows
        return _acquire_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise BadIndex(
            f"cannot lock the index {folder}: {_reason(error)}; its disk has no locks, "
            "so keep the index on another one"
        ) from error
    return True


def _acquire_on_windows(file: BinaryIO) -> bool:
    import msvcrt

    file.seek(0)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the file we locked still is the lock: the index may have been made anew meanwhile."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _sign(file: BinaryIO) -> None:
    # The signature only words the message of the other run: a full disk must not stop us here.
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%H:%M:%S")}
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(json.dumps(owner).encode())


def _owner(path: Path) -> str:
    try:
        owner = read_json(path, most_bytes=4096)
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "an unnamed process"


def _reason(error: OSError) -> str:
    what = (error.strerror or str(error)).lower()
    return f"{NAME} {what}; remove it" if what.startswith("is ") else what
