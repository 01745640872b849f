"""One writer at a time. The kernel drops the lock with its process, so none is ever stale."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tempme.errors import BadIndex, IndexBusy

_BUSY = "another run is writing to the index {folder} ({who}); wait for it or stop it, then retry"


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the write lock of the index at `folder`; IndexBusy if another process has it."""
    path = folder / "lock"
    try:
        # Unbuffered: what a full disk does not take must not come up again when the file closes.
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise BadIndex(f"cannot write to the index {folder}: {error.strerror}") from error
    with file:
        if not _acquire(file):
            raise IndexBusy(_BUSY.format(folder=folder, who=_owner(path)))
        _sign(file)
        yield


def _acquire(file: IO[Any]) -> bool:
    # Record locks belong to the process: unlike flock they are not inherited by decode workers,
    # so a worker that outlives a killed parent for a moment does not keep the index locked.
    try:
        import fcntl
    except ImportError:  # Windows
        return _acquire_on_windows(file)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _acquire_on_windows(file: IO[Any]) -> bool:
    import msvcrt

    file.seek(0)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def _sign(file: IO[Any]) -> None:
    # The signature only words the message of the other run: a full disk must not stop us here.
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%H:%M:%S")}
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(json.dumps(owner).encode())


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "an unnamed process"
    return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
