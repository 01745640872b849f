"""Objects of a bucket as files of this machine, for as long as they are read.

No more of them lie here than are being read and two more. The copies are in a folder of their own,
which ends with the run; what a killed run left is removed by the next.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

from tempme.errors import BadIndex
from tempme.index.building.ahead import ahead
from tempme.index.building.digests import CHANGED, Identified, identify, name_of_content
from tempme.index.building.scan import File
from tempme.index.stores.places import Place, PlacedFile
from tempme.processes.running import is_running
from tempme.uris import is_remote, uri_of

AT_ONCE = 2
CHUNK_BYTES = 4 << 20
SUFFIX_LETTERS = 16
PREFIX = "tempme-objects-"


class _Unfetched(Exception):
    """Why an object could not be brought here, in words for a person."""


class Copies:
    """The copies of one run, in a folder below `parent` (None: that for temporary files)."""

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = Path(tempfile.gettempdir() if parent is None else parent)
        self._folder: Path | None = None
        self._paths: dict[Path, Path] = {}
        self._owners: dict[Path, Path] = {}
        self._numbers = itertools.count()
        self._is_closed = Event()

    def identified(self, files: Iterable[File]) -> Iterator[Identified]:
        """The files with their digests; those of a bucket are then here."""
        every = list(files)
        yield from identify(file for file in every if not is_remote(file.path))
        far = [file for file in every if is_remote(file.path)]
        if far and self._folder is None:
            _remove_left(self._parent)
            prefix = f"{PREFIX}{os.getpid()}-"
            self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._parent))
        yield from ahead(self._fetched, far, most=AT_ONCE)

    def place(self, path: Path) -> Path:
        """Where a file can be opened: an object by its copy."""
        return self._paths.get(path, path)

    def owner(self, copy: Path) -> Path:
        """The file that a place is of."""
        return self._owners.get(copy, copy)

    def let_go(self, path: Path) -> None:
        """Remove the copy of an object; a file of this machine stays."""
        if (copy := self._paths.pop(path, None)) is not None:
            self._owners.pop(copy, None)
            copy.unlink(missing_ok=True)

    def stop(self) -> None:
        """Nothing more is wanted: what is on its way ends."""
        self._is_closed.set()

    def close(self) -> None:
        """Remove what is left."""
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _fetched(self, file: File) -> Identified:
        try:
            return self._fetch(file)
        except FileNotFoundError:
            why = "no such file or directory"
        except BadIndex as error:
            why = str(error.__cause__ or error).splitlines()[0]
        except (OSError, _Unfetched) as error:
            why = getattr(error, "strerror", None) or str(error)
        self.let_go(file.path)
        return Identified(file, "", f"cannot be fetched: {why}")

    def _fetch(self, file: File) -> Identified:
        place = Place(uri_of(file.path))
        before = place.about()
        if before is None:
            raise FileNotFoundError
        copy = self._room(file.path, before)
        self._paths[file.path], self._owners[copy] = copy, file.path
        digest = hashlib.sha256()
        with place.opened() as source, copy.open("wb") as out:
            while chunk := source.read(CHUNK_BYTES):
                if self._is_closed.is_set():
                    raise _Unfetched("the run ended")
                digest.update(chunk)
                out.write(chunk)
        if place.about() != before or copy.stat().st_size != before.size_bytes:
            self.let_go(file.path)
            return Identified(file, "", CHANGED)
        now = replace(file, size_bytes=before.size_bytes, mtime_ns=before.mtime_ns)
        return Identified(now, name_of_content(digest))

    def _room(self, path: Path, about: PlacedFile) -> Path:
        """A path for a copy, on a disk that has room for it."""
        folder = self._folder or self._parent
        free = shutil.disk_usage(folder).free
        if about.size_bytes > free:
            raise _Unfetched(
                f"it has {about.size_bytes:,} bytes, and {self._parent} has room for {free:,}: "
                "name a larger disk in TMPDIR"
            )
        return folder / f"{next(self._numbers):08d}{path.suffix[:SUFFIX_LETTERS]}"


def _remove_left(folder: Path) -> None:
    """What runs that were killed left there."""
    for left in folder.glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)
