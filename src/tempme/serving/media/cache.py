"""A folder of files that can be made again, within a stated size."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

# Files made between two looks at the size of the folder.
BETWEEN_LOOKS = 32
# What is left when too much was there.
LEAVE = 0.9


class Cache:
    """Names in one folder; those not used for longest go when they take more than `most_bytes`."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder, self._most = _writable(folder), most_bytes
        self._made = 0
        self._lock = threading.Lock()
        self._sweep()

    def path(self, name: str) -> Path:
        """Where the file of this name is or would be."""
        return self.folder / name[:2] / name

    def find(self, name: str) -> Path | None:
        """The file, which counts as used now."""
        path = self.path(name)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def added(self) -> None:
        """Take note that a file was made, and make room now and then."""
        with self._lock:
            self._made += 1
            is_time = self._made % BETWEEN_LOOKS == 0
        if is_time:
            self._sweep()

    def size_bytes(self) -> int:
        """What the files take."""
        return sum(size for _, size, _ in self._files())

    def _sweep(self) -> None:
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        if total <= self._most:
            return
        for _, size, path in files:
            if total <= LEAVE * self._most:
                return
            with suppress(OSError):
                path.unlink()
                total -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        return found


def _writable(folder: Path) -> Path:
    """The folder, or one for this run alone where it cannot be written: an index may be lent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tempme-"))
