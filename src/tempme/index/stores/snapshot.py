"""`scan.npz`: the gallery of a finished run in one file, so that a search starts in a moment.

Importing LanceDB takes 1.3 s, reading this file a few milliseconds. It is only a copy: it carries
the versions of the two tables it was made from, and is passed over as soon as they differ, or if
anything in it is not as we write it. Every array has a checksum, which the archive keeps.
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.index.moments import Gallery
from tempme.index.stores.arrays import read_array
from tempme.index.stores.paths import path_to_text, text_to_path
from tempme.untrusted import MEBIBYTE, open_regular, parsed_json

NAME = "scan.npz"
MOST_NAMES_BYTES = 64 * MEBIBYTE
# Beyond the age of cinema: a start in seconds that no video has.
LONGEST_SECONDS = 1e10
_HEADERS_BYTES = MEBIBYTE


def write_snapshot(folder: Path, gallery: Gallery, *, versions: str) -> None:
    """Replace the snapshot in one step. Failing to is no error: a search only starts slower."""
    names = {
        "versions": versions,
        "contents": gallery.contents,
        "paths": [[path_to_text(path) for path in paths] for paths in gallery.paths],
        "left_out": [path_to_text(path) for path in gallery.left_out],
    }
    with suppress(OSError), replacing(folder / NAME) as draft, draft.open("wb") as file:
        np.savez(
            file,
            names=np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
            owner=gallery.owner,
            spans=gallery.spans,
            features=gallery.features,
        )


def remove_snapshot(folder: Path) -> None:
    """Remove the snapshot of an index that has grown beyond it."""
    with suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)


def read_snapshot(
    folder: Path, *, versions: str | None, width: int, most_moments: int
) -> Gallery | None:
    """The gallery, or None if there is none, the tables have moved on since, or it is damaged.

    `versions` None takes one of any version. `width` and `most_moments` are those of the index.
    """
    most_bytes = MOST_NAMES_BYTES + most_moments * (2 * width + 24) + _HEADERS_BYTES
    try:
        with open_regular(folder / NAME) as raw, zipfile.ZipFile(raw) as archive:
            if os.fstat(raw.fileno()).st_size > most_bytes:
                return None
            names = parsed_json(
                read_array(archive, "names", np.uint8, (MOST_NAMES_BYTES,)).tobytes()
            )
            if versions is not None and names["versions"] != versions:
                return None
            return _gallery(names, archive, width=width, most_moments=most_moments)
    except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
        return None


def _gallery(
    names: dict[str, Any], archive: zipfile.ZipFile, *, width: int, most_moments: int
) -> Gallery:
    owner = read_array(archive, "owner", np.int64, (most_moments,))
    gallery = Gallery(
        contents=tuple(names["contents"]),
        paths=tuple(tuple(map(text_to_path, texts)) for texts in names["paths"]),
        owner=owner,
        spans=read_array(archive, "spans", np.float64, (len(owner), 2)),
        features=read_array(archive, "features", np.float16, (len(owner), width)),
        left_out=tuple(map(text_to_path, names.get("left_out", ()))),
    )
    if not _is_consistent(gallery):
        raise ValueError(f"{NAME} is not as it was written")
    return gallery


def _is_consistent(gallery: Gallery) -> bool:
    """Whether every moment has a content, every content moments and files, and numbers are some."""
    owner, count = gallery.owner, len(gallery.contents)
    if len(gallery.paths) != count or not all(gallery.paths):
        return False
    if not len(owner) == len(gallery.spans) == len(gallery.features):
        return False
    if not all(isinstance(digest, str) for digest in gallery.contents):
        return False
    steps = np.diff(owner, prepend=-1, append=count)
    start, end = gallery.spans[:, 0], gallery.spans[:, 1]
    return (
        bool(steps[0] == steps[-1] == 1 and ((steps == 0) | (steps == 1)).all())
        and bool(((start >= 0) & (start <= end) & (end < LONGEST_SECONDS)).all())
        and _is_finite(gallery.features)
    )


def _is_finite(features: NDArray[np.float16]) -> bool:
    # By the bits of the exponent: ten times as fast as np.isfinite in half precision.
    return not bool(((features.view(np.uint16) & 0x7C00) == 0x7C00).any())
