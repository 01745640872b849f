"""Take back a write that the disk took only half of.

LanceDB hands bytes to a thread and can miss that the last of them did not fit: it then commits a
version with a file that is cut short, which nobody can read any more. Every file of Lance ends
with the same four letters, so such a version is found, and without its manifest the one before it
is the newest again. Taking back needs no room on the disk.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

END = b"LANC"


@contextmanager
def whole_or_undone(table: Path) -> Iterator[None]:
    """Whatever is committed to a table within is whole, or it is gone again and OSError raised."""
    before = _files(table)
    yield
    new = _files(table) - before
    if all(map(_is_whole, new)):
        return
    for path in new:
        if path.suffix == ".manifest":
            path.unlink(missing_ok=True)
    raise OSError(errno.ENOSPC, "a file was cut short, the disk may be full")


def _files(table: Path) -> set[Path]:
    return {*table.glob("_versions/*.manifest"), *table.glob("data/*.lance")}


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(END), 2)
            return file.read() == END
    except FileNotFoundError:  # tidied away since
        return True
    except OSError:  # shorter than its own end
        return False
