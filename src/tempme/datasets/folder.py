"""A folder of videos with a captions file: JSONL or CSV with `file, caption[, start, end]`."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tempme.datasets.pairs import Pair
from tempme.errors import BadDataset

NAMES = ("captions.jsonl", "captions.csv")
Row = tuple[int, Mapping[str, Any]]


def load_folder(
    path: Path, *, split: str | None = None, part: str | None = None
) -> tuple[Pair, ...]:
    """The pairs of a folder, or of a captions file, in the file's order.

    Videos are looked up beside the captions file. Other columns are allowed; `split` and `part`
    keep the rows that carry that value. Raises `BadDataset` naming the line and the remedy.
    """
    source = _captions_file(path)
    rows = _csv_rows(source) if source.suffix.lower() == ".csv" else _jsonl_rows(source)
    pairs: list[Pair] = []
    known: dict[str, bool] = {}
    for line, row in rows:
        wanted = {"split": split, "part": part}
        if any(value not in (None, row.get(key)) for key, value in wanted.items()):
            continue
        pairs.append(_pair(source, line, row, known))
    if not pairs:
        kept = " ".join(f"{k}={v}" for k, v in (("split", split), ("part", part)) if v)
        raise BadDataset(
            f"{source} has no caption{f' with {kept}' if kept else ''}; "
            "write one row a caption with file and caption"
        )
    return tuple(pairs)


def _captions_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadDataset(f"no folder or captions file at {path}; check the path")
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise BadDataset(
        f"{path} has no captions; put {' or '.join(NAMES)} there, or give the captions file itself"
    )


def _text(source: Path) -> str:
    try:
        return source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadDataset(f"cannot read {source}: {error.strerror}; check permissions") from error
    except UnicodeDecodeError as error:
        raise BadDataset(
            f"{source} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def _jsonl_rows(source: Path) -> Iterator[Row]:
    for line, text in enumerate(_text(source).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise _bad(source, line, f"is not JSON ({error})", _EXAMPLE) from error
        if not isinstance(row, dict):
            raise _bad(source, line, "is not a JSON object", _EXAMPLE)
        yield line, row


_EXAMPLE = 'write {"file": "dog.mp4", "caption": "a dog jumps"}, one object a line'


def _csv_rows(source: Path) -> Iterator[Row]:
    reader = csv.DictReader(
        io.StringIO(_text(source), newline=""), strict=True, skipinitialspace=True
    )
    try:
        header = reader.fieldnames or []
        missing = [name for name in ("file", "caption") if name not in header]
        if missing:
            raise _bad(
                source,
                1,
                f"has no column {' and '.join(missing)}",
                "begin the file with a line `file,caption` or `file,caption,start,end`",
            )
        for row in reader:
            if None in row:
                raise _bad(source, reader.line_num, "has too many fields", "quote commas")
            yield reader.line_num, row
    except csv.Error as error:
        raise _bad(source, reader.line_num, f"is not CSV ({error})", "quote the text") from error


def _pair(source: Path, line: int, row: Mapping[str, Any], known: dict[str, bool]) -> Pair:
    file, caption = (_word(source, line, row, name) for name in ("file", "caption"))
    video = source.parent / file
    if file not in known:
        # Unlike Path.is_file, this is False for a name that no file can have.
        known[file] = os.path.isfile(video)  # noqa: PTH113
    if not known[file]:
        raise _bad(source, line, f"names {file!r}, which is not there", "paths are relative to it")
    start, end = (_seconds(source, line, row, name) for name in ("start", "end"))
    if end is not None and end <= (start or 0.0):
        raise _bad(source, line, f"ends at {end} s but starts at {start or 0.0} s", "swap them")
    return Pair(video, caption, start, end)


def _word(source: Path, line: int, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _bad(source, line, f"has {name} {value!r}", f"give {name} as text")


def _seconds(source: Path, line: int, row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise _bad(source, line, f"has {name} {value!r}", f"give {name} in seconds, 0 or more")
    return seconds


def _bad(source: Path, line: int, what: str, remedy: str) -> BadDataset:
    return BadDataset(f"{source}, line {line} {what}; {remedy}")
