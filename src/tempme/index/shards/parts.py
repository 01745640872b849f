"""Parts of a film that is read in several pieces, until all of them are there.

A film of hours is read in pieces, so that no process holds all of its pixels; any encode worker may
get any of them. Each puts the features of its piece, some hundred kilobytes, into the place of the
shards. Whoever finds all of them there puts them together: two that do so at once write the same.
"""

from __future__ import annotations

import io
import json
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Video
from tempme.index.stores.paths import path_to_text, text_to_path
from tempme.index.stores.places import Place

FOLDER = "pieces"
LAST = "-last.npz"
# No film takes so long: what is older was left by a run that was killed.
OLD_NS = 2 * 86_400 * 10**9


@dataclass(frozen=True, eq=False)
class Whole:
    """A row without its counts, with spans (W, 2) and features (W, D)."""

    row: Video
    spans: NDArray[np.float64]
    features: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class FilmPart:
    """A piece of a film: the row as it was known then, spans and features."""

    number: int
    found: Whole
    is_last: bool


def new_attempt() -> str:
    """A name for one reading of a film, whose parts belong together; it begins with the time."""
    return f"{time.time_ns():020d}-{secrets.token_hex(6)}"


def write_part(place: Place, attempt: str, part: FilmPart) -> None:
    """Keep a part."""
    found, sink = part.found, io.BytesIO()
    row = json.dumps({**vars(found.row), "path": path_to_text(found.row.path)})
    told = np.frombuffer(row.encode(), dtype=np.uint8)
    np.savez(sink, row=told, spans=found.spans, features=found.features)
    place.write(_name(attempt, part.number, is_last=part.is_last), sink.getvalue())


def joined(place: Place, attempt: str) -> Whole | None:
    """All parts of a film in order, with the row of the last; None while some are missing."""
    names = {listed.name for listed in place.files(f"{FOLDER}/{attempt}")}
    last = next((name for name in names if name.endswith(LAST)), None)
    if last is None:
        return None
    count = int(last.rpartition("/")[2].removesuffix(LAST)) + 1
    wanted = [_name(attempt, i, is_last=i == count - 1) for i in range(count)]
    if not names.issuperset(wanted):
        return None
    with suppress(FileNotFoundError):  # another worker has just put them together
        parts = [_read(place.read(name)) for name in wanted]
        spans = np.concatenate([part.spans for part in parts])
        return Whole(parts[-1].row, spans, np.concatenate([part.features for part in parts]))
    return None


def drop_parts(place: Place, attempt: str) -> None:
    """Remove the parts of a film."""
    place.remove([listed.name for listed in place.files(f"{FOLDER}/{attempt}")])


def drop_old_parts(place: Place) -> None:
    """Remove what killed runs left."""
    oldest = f"{FOLDER}/{time.time_ns() - OLD_NS:020d}"
    place.remove([listed.name for listed in place.files(FOLDER) if listed.name < oldest])


def _name(attempt: str, number: int, *, is_last: bool) -> str:
    return f"{FOLDER}/{attempt}/{number:05d}{LAST if is_last else '.npz'}"


def _read(content: bytes) -> Whole:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        row = json.loads(file["row"].tobytes())
        video = Video(**{**row, "path": text_to_path(row["path"])})
        return Whole(video, file["spans"], file["features"])
