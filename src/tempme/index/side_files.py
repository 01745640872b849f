"""What an index has beside its rows (header, words, model, confidence), far from this machine.

They lie where the shards or the tables lie, in an object store; a search reads them from a copy in
the cache of this machine (`~/.cache/tempme/indexes`, or below XDG_CACHE_HOME), which is one of an
index without rows. Beside it are the search lists of a large index, where something made them. The
copy is made again when the header in the store is another one. Nothing is lost with it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tempme.atomic import replacing
from tempme.errors import BadIndex
from tempme.index.header import NAME as HEADER
from tempme.index.header import Header, read_header
from tempme.index.judging import NAME as CONFIDENCE
from tempme.index.lists.opened import remove_lists
from tempme.index.model import MODEL_FOLDER
from tempme.index.stores.places import Place
from tempme.index.words import NAME as WORDS
from tempme.uris import shown_uri

FILES = (WORDS, CONFIDENCE)
NAME_LETTERS = 16


def cache_folder(uri: str) -> Path:
    """The folder of this machine for what belongs to a URI; it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    word = re.sub(r"[^A-Za-z0-9]+", "-", uri.rstrip("/").rpartition("/")[2])[:40]
    digest = hashlib.sha256(uri.encode()).hexdigest()[:NAME_LETTERS]
    return Path(home, "tempme", "indexes", f"{word}-{digest}")


def put_side_files(folder: Path, place: Place) -> None:
    """Write the side files of the index in `folder` to a place, the header last."""
    model = sorted(path for path in (folder / MODEL_FOLDER).rglob("*") if path.is_file())
    for path in (*model, *(folder / name for name in FILES), folder / HEADER):
        if path.is_file():
            place.write(path.relative_to(folder).as_posix(), path.read_bytes())


def has_side_files(place: Place) -> bool:
    """Whether a header lies in the place."""
    return _header_bytes(place) is not None


def side_files_of(place: Place, *, into: Path | None = None) -> Path:
    """A folder of this machine with the side files of a place; BadIndex if there are none.

    A place on this machine is that folder itself, unless they are wanted in another.
    """
    content = _header_bytes(place)
    if content is None:
        raise BadIndex(
            f"{shown_uri(place.uri)} is not an index: no {HEADER} lies there; look at its name, "
            "and at the address and the keys of the store"
        )
    if into is None and not place.is_remote:
        return Path(place.uri)
    folder = cache_folder(place.uri) if into is None else into
    here = folder / HEADER
    if not here.is_file() or here.read_bytes() != content:
        remove_lists(folder)  # the moments may be those of another model
        _fetch(place, folder)
        keep_file(here, content)
    return folder


def header_of(place: Place) -> Header:
    """The header that lies in a place; BadIndex if there is none or it is damaged."""
    return read_header(side_files_of(place))


def keep_file(path: Path, content: bytes) -> None:
    """A file of the cache, whole or not at all."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def _fetch(place: Place, folder: Path) -> None:
    names = [listed.name for listed in place.files(MODEL_FOLDER)]
    for name in (*names, *FILES):
        try:
            keep_file(folder / name, place.read(name))
        except FileNotFoundError:
            (folder / name).unlink(missing_ok=True)


def _header_bytes(place: Place) -> bytes | None:
    try:
        return place.read(HEADER)
    except (FileNotFoundError, NotADirectoryError):
        return None
