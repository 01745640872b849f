"""`rows.npz`: the rows of all videos in one file, so that `tempme status` needs no LanceDB.

It is only a copy, as the snapshot is: it carries the versions of the tables it was made from, and
is passed over as soon as they differ, or if anything in it is not as we write it. What has changed
since it was written is in `rows.log`, a line for each run, which leads from one version to the
next; once that is long, all is written anew. A line that a killed run left half-written leads
nowhere.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.index.moments import Status, Video
from tempme.index.stores.arrays import read_array
from tempme.index.stores.known import KnownRows
from tempme.index.stores.paths import path_to_text, text_to_path
from tempme.index.stores.tables import TABLES, Tables
from tempme.untrusted import MEBIBYTE, open_regular, parsed_json

NAME, LOG = "rows.npz", "rows.log"
# A few hundred bytes a video: some millions of videos.
MOST_BYTES = 1024 * MEBIBYTE
MOST_VERSION = 4096
# Bytes of the log to those of the copy, from which on all is written anew.
MOST_LOGGED = 0.25
COLUMNS = tuple(field.name for field in fields(Video))
_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}
_TYPES = {field.name: _KINDS.get(str(field.type), str) for field in fields(Video)}


def write_rows(folder: Path, videos: Iterable[Video], *, version: str) -> None:
    """Replace the copy in one step. Failing to is no error: `status` only starts slower."""
    told = json.dumps({"version": version, "columns": COLUMNS, "rows": _told(videos)}).encode()
    with suppress(OSError):
        with replacing(folder / NAME) as draft, draft.open("wb") as file:
            np.savez(file, rows=np.frombuffer(told, dtype=np.uint8), version=_bytes_of(version))
        (folder / LOG).unlink(missing_ok=True)  # it leads from a version that is no more


def update_rows(folder: Path, known: KnownRows) -> None:
    """Bring the copy to what is known: by a line more, where it is of the version that was read."""
    size = _log_size(folder, known.base)
    if size is None or size > MOST_LOGGED * _size(folder / NAME):
        write_rows(folder, known.videos, version=known.version)
        return
    if known.base == known.version:
        return
    rows = [known.rows[path] for path in sorted(known.changed & known.rows.keys())]
    gone = sorted(map(path_to_text, known.changed - known.rows.keys()))
    told = {"from": known.base, "version": known.version, "rows": _told(rows), "gone": gone}
    content = json.dumps(told).encode()
    with suppress(OSError), (folder / LOG).open("ab") as file:
        file.write(b"%08x %s\n" % (crc32(content), content))
        file.flush()
        os.fsync(file.fileno())


def _log_size(folder: Path, version: str) -> int | None:
    """The bytes of the log, if the copy and the log are whole and lead to this version."""
    try:
        with open_regular(folder / NAME) as raw, zipfile.ZipFile(raw) as archive:
            read_array(archive, "rows", np.uint8, (MOST_BYTES,))  # held against its checksum
            found = read_array(archive, "version", np.uint8, (MOST_VERSION,)).tobytes().decode()
        lines = _lines(folder)
        for line in lines:
            told = _line(line)
            if told is None or told["from"] != found:
                return None
            found = str(told["version"])
    except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
        return None
    return sum(map(len, lines)) if found == version else None


def read_rows(folder: Path, *, version: str) -> tuple[Video, ...] | None:
    """The rows, ordered by path; None without a copy of this version that is as it was written.

    BadIndex where something else lies in the place of a table.
    """
    tables = Tables(folder, features=0)
    if not all(tables.exists(name) for name in TABLES):
        return None
    found = kept_rows(folder)
    return found[1] if found is not None and found[0] == version else None


def kept_rows(folder: Path) -> tuple[str, tuple[Video, ...]] | None:
    """The rows of the copy, and the version that they are of; None without one as it was written.

    Where the table is lost, an old copy still knows which files the index had.
    """
    try:
        with open_regular(folder / NAME) as raw, zipfile.ZipFile(raw) as archive:
            if os.fstat(raw.fileno()).st_size > MOST_BYTES:
                return None
            told = parsed_json(read_array(archive, "rows", np.uint8, (MOST_BYTES,)).tobytes())
        if tuple(told["columns"]) != COLUMNS:
            return None
        return _followed(folder, str(told["version"]), [_video(row) for row in told["rows"]])
    except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
        return None


def _followed(folder: Path, version: str, videos: Sequence[Video]) -> tuple[str, tuple[Video, ...]]:
    """The rows after what the log says has become of them, as far as it leads."""
    rows = {video.path: video for video in videos}
    for line in _lines(folder):
        told = _line(line)
        if told is None or told["from"] != version:
            continue
        for text in told["gone"]:
            rows.pop(text_to_path(text), None)
        rows |= {video.path: video for video in map(_video, told["rows"])}
        version = str(told["version"])
    return version, tuple(sorted(rows.values(), key=lambda video: video.path))


def _lines(folder: Path) -> list[bytes]:
    """The lines of the log, the end of a last one that is cut short included."""
    try:
        with open_regular(folder / LOG) as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return []
    return content.splitlines() if len(content) <= MOST_BYTES else []


def _line(line: bytes) -> Any:
    """What a line says; None where it is not as it was written."""
    checksum, _, content = line.partition(b" ")
    return parsed_json(content) if checksum == b"%08x" % crc32(content) else None


def _size(path: Path) -> int:
    return path.stat().st_size


def _told(videos: Iterable[Video]) -> list[list[Any]]:
    return [[path_to_text(row.path), *list(vars(row).values())[1:]] for row in videos]


def _bytes_of(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _video(row: Sequence[Any]) -> Video:
    values = dict(zip(COLUMNS, row, strict=True))
    if not all(isinstance(values[name], _TYPES[name]) for name in COLUMNS):
        raise ValueError(f"{NAME} is not as it was written")
    if values["status"] not in get_args(Status):
        raise ValueError(f"{NAME} is not as it was written")
    return Video(**{**values, "path": text_to_path(values["path"])})
