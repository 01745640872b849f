"""Captions that lie in tar archives beside their videos, as webdataset has them.

Files of one sample share their name up to its first dot: dog.mp4 with dog.txt (a caption a line)
or dog.json (the columns of a captions file: caption, one or a list, and start, end, split, part).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tempme.datasets.captions_file import NAMES, Row, renamed
from tempme.datasets.pairs import VIDEO_SUFFIXES
from tempme.datasets.places import shard_files
from tempme.datasets.shards import is_shard, read_member, read_shard
from tempme.errors import BadDataset, BadVideo
from tempme.untrusted import MEBIBYTE, parsed_json

TEXT, COLUMNS = ".txt", ".json"


def has_captions(path: Path) -> bool:
    """Whether a path is an archive, or a folder of archives without a captions file."""
    if is_shard(path):
        return True
    if not path.is_dir() or any((path / name).is_file() for name in NAMES):
        return False
    return bool(shard_files(path))


def shard_rows(path: Path) -> Iterator[Row]:
    """(number of the sample, row) of every caption; what has none is counted, and told.

    BadDataset where no sample has a caption, or one that is no text.
    """
    number = without = rows = 0
    for archive in shard_files(path):
        for video, beside in _samples(archive):
            number += 1
            found = _captions(archive, video, beside)
            without += not found
            for row in found:
                rows += 1
                yield number, row
    if not rows:
        raise BadDataset(
            f"{path} has {number:,} videos in tar archives and no caption: put NAME.txt or "
            f"NAME.json beside NAME.mp4, or captions.csv beside the archives"
        )
    if without:
        logging.getLogger("tempme").warning(
            "%s: %d of %d videos have no caption beside them, and are left out",
            *(path, without, number),
        )


def _samples(archive: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A video, and what lies beside it by suffix."""
    beside: dict[str, dict[str, str]] = {}
    videos = []
    for name in read_shard(archive).members:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            videos.append(name)
        elif suffix in (TEXT, COLUMNS):
            beside.setdefault(_key(name), {})[suffix] = name
    for name in videos:
        yield name, beside.get(_key(name), {})


def _key(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _captions(archive: Path, video: str, beside: Mapping[str, str]) -> list[dict[str, Any]]:
    row: dict[str, Any] = {}
    if COLUMNS in beside:
        row = _columns(archive / beside[COLUMNS])
    given = row.pop("caption", None)
    if given is None and TEXT in beside:
        given = _text(archive / beside[TEXT]).splitlines()
    captions = [given] if isinstance(given, str) else given or []
    if not isinstance(captions, list) or not all(isinstance(one, str) for one in captions):
        raise BadDataset(
            f"{archive / beside[COLUMNS]} has caption {given!r}; give it as text, or as a list "
            f"of texts"
        )
    return [row | {"file": str(archive / video), "caption": one} for one in captions if one.strip()]


def _columns(place: Path) -> dict[str, Any]:
    try:
        row = parsed_json(_text(place).encode())
    except ValueError as error:
        raise BadDataset(f"{place} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise BadDataset(f'{place} is not a JSON object: write {{"caption": "a dog jumps"}}')
    return {name: value for name, value in renamed(row).items() if name != "file"}


def _text(place: Path) -> str:
    try:
        return read_member(place, most_bytes=MEBIBYTE).decode("utf-8-sig")
    except (BadVideo, OSError) as error:
        raise BadDataset(f"{place} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise BadDataset(f"{place} is not UTF-8 text (byte {error.start})") from error
