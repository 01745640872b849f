"""`rows.npz`: the rows of all videos in one file, so that `tempme status` needs no LanceDB.

It is only a copy, as the snapshot is: it carries the versions of the tables it was made from, and
is passed over as soon as they differ, or if anything in it is not as we write it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tempme.atomic import replacing
from tempme.index.moments import Status, Video
from tempme.index.stores.arrays import read_array
from tempme.index.stores.paths import path_to_text, text_to_path
from tempme.index.stores.tables import TABLES, Tables
from tempme.untrusted import MEBIBYTE, open_regular, parsed_json

NAME = "rows.npz"
# A few hundred bytes a video: some millions of videos.
MOST_BYTES = 1024 * MEBIBYTE
COLUMNS = tuple(field.name for field in fields(Video))
_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}
_TYPES = {field.name: _KINDS.get(str(field.type), str) for field in fields(Video)}


def write_rows(folder: Path, videos: Sequence[Video], *, version: str) -> None:
    """Replace the copy in one step. Failing to is no error: `status` only starts slower."""
    rows = [[path_to_text(row.path), *list(vars(row).values())[1:]] for row in videos]
    told = json.dumps({"version": version, "columns": COLUMNS, "rows": rows}).encode()
    with suppress(OSError), replacing(folder / NAME) as draft, draft.open("wb") as file:
        np.savez(file, rows=np.frombuffer(told, dtype=np.uint8))


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
        return str(told["version"]), tuple(_video(row) for row in told["rows"])
    except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
        return None


def _video(row: Sequence[Any]) -> Video:
    values = dict(zip(COLUMNS, row, strict=True))
    if not all(isinstance(values[name], _TYPES[name]) for name in COLUMNS):
        raise ValueError(f"{NAME} is not as it was written")
    if values["status"] not in get_args(Status):
        raise ValueError(f"{NAME} is not as it was written")
    return Video(**{**values, "path": text_to_path(values["path"])})
