"""`scan.npz`: the gallery of a finished run in one file, so that a search starts in a moment.

Importing LanceDB takes 1.3 s, reading this file a few milliseconds. It is only a copy: it carries
the versions of the two tables it was made from, and is passed over as soon as they differ.
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tempme.atomic import replacing
from tempme.index.moments import Gallery

NAME = "scan.npz"


def path_to_text(path: Path) -> str:
    """`path` as valid Unicode: a byte that is not UTF-8 becomes NUL and two hex digits.

    No path has a NUL in it, so the way back is exact.
    """
    text = os.fsdecode(path)
    return "".join(
        f"\0{ord(char) - 0xDC00:02x}" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text
    )


def text_to_path(text: str) -> Path:
    """The path that `path_to_text` wrote."""
    head, *rest = text.split("\0")
    return Path(head + "".join(chr(0xDC00 + int(part[:2], 16)) + part[2:] for part in rest))


def write_snapshot(folder: Path, gallery: Gallery, *, versions: str) -> None:
    """Replace the snapshot in one step. Failing to is no error: a search only starts slower."""
    names = {
        "versions": versions,
        "contents": gallery.contents,
        "paths": [[path_to_text(path) for path in paths] for paths in gallery.paths],
    }
    with suppress(OSError), replacing(folder / NAME) as draft, draft.open("wb") as file:
        np.savez(
            file,
            names=np.frombuffer(json.dumps(names).encode(), dtype=np.uint8),
            owner=gallery.owner,
            spans=gallery.spans,
            features=gallery.features,
        )


def read_snapshot(folder: Path, *, versions: str) -> Gallery | None:
    """The gallery, or None if there is none or the tables have moved on since."""
    try:
        # Opened here: NumPy forgets to close a damaged archive that it opened itself.
        with (folder / NAME).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            names = json.loads(bytes(file["names"]))
            if names["versions"] != versions:
                return None
            return _gallery(names, file)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _gallery(names: dict[str, Any], file: Any) -> Gallery:
    return Gallery(
        contents=tuple(names["contents"]),
        paths=tuple(tuple(text_to_path(text) for text in texts) for texts in names["paths"]),
        owner=file["owner"],
        spans=file["spans"],
        features=file["features"],
    )
