"""A folder of videos with a captions file: JSONL or CSV with `file, caption[, start, end]`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tempme.datasets.captioned_shards import has_captions, shard_rows
from tempme.datasets.captions_file import bad, captions_file, rows
from tempme.datasets.pairs import Pair, Video
from tempme.datasets.places import locate
from tempme.datasets.shards import shard_of
from tempme.errors import BadDataset


def load_folder(
    path: Path,
    *,
    split: str | None = None,
    part: str | None = None,
    videos: Path | None = None,
) -> tuple[Pair, ...]:
    """The pairs of a folder, or of a captions file, in the file's order.

    Videos are looked up in `videos`, or beside the captions file: by path, else by name or id
    anywhere below, with or without suffix, so that copies made by `prepare` are found; a video may
    be a folder of pictures, or lie in a tar archive. Those that are not there keep the path where
    they should be. A tar archive, or a folder of such without a captions file, has its captions
    inside (`captioned_shards`). Other columns are allowed; `split` and `part` keep the rows that
    carry that value. Raises `BadDataset` naming the line and the remedy.
    """
    is_of_shards = has_captions(path)
    source = path if is_of_shards else captions_file(path)
    wanted = {"split": split, "part": part}
    kept, seen = [], {name: dict[str, None]() for name in wanted}
    for line, row in shard_rows(path) if is_of_shards else rows(source):
        for name in wanted:
            seen[name][str(row.get(name))] = None
        if all(value in (None, row.get(name)) for name, value in wanted.items()):
            kept.append((line, row))
    if not kept:
        raise BadDataset(_none_kept(source, wanted, seen))
    names = [_word(source, line, row, "file") for line, row in kept]
    files = _files(names, source if is_of_shards else videos or source.parent)
    return tuple(
        _pair(source, line, row, files[name]) for (line, row), name in zip(kept, names, strict=True)
    )


def _none_kept(
    source: Path, wanted: Mapping[str, str | None], seen: Mapping[str, Mapping[str, None]]
) -> str:
    """Why no row is left: there is none, or none with the values that were asked for."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    if not asked or not seen["split"]:
        return f"{source} has no caption; write one row a caption with file and caption"
    kept = " ".join(f"{name}={value}" for name, value in asked.items())
    there = [
        f"it has no column {name}"
        if set(seen[name]) <= {"None", ""}
        else f"{name} is {', '.join(list(seen[name])[:6])} there"
        for name in asked
    ]
    return f"{source} has no caption with {kept}: {', '.join(there)}"


def _files(names: Iterable[str], root: Path) -> dict[str, Path]:
    """Name -> file; where there is none, the path where it should be."""
    found: dict[str, Path] = {}
    elsewhere: list[Video] = []
    for name in dict.fromkeys(names):
        found[name] = root / name
        # Unlike Path.is_file, this is False for a name that no file can have.
        if not os.path.isfile(found[name]) and shard_of(found[name]) is None:  # noqa: PTH113
            elsewhere.append(name)
    if not elsewhere:
        return found
    located = locate(elsewhere, root)
    for video, paths in located.duplicated.items():
        places = ", ".join(str(path) for path in paths[:3])
        raise BadDataset(f"{video!r} is the name of {len(paths)} files ({places}): write its path")
    return found | {str(video): path for video, path in located.paths.items()}


def _pair(source: Path, line: int, row: Mapping[str, Any], video: Path) -> Pair:
    caption = _word(source, line, row, "caption")
    start, end = (_seconds(source, line, row, name) for name in ("start", "end"))
    if end is not None and end <= (start or 0.0):
        raise bad(source, line, f"ends at {end} s but starts at {start or 0.0} s", "swap them")
    return Pair(video, caption, start, end)


def _word(source: Path, line: int, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    has = ", ".join(str(key) for key in row)
    raise bad(source, line, f"has {name} {value!r}", f"give {name} as text (it has {has})")


def _seconds(source: Path, line: int, row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise bad(source, line, f"has {name} {value!r}", f"give {name} in seconds, 0 or more")
    return seconds
