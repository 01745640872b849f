"""A person's file of captions: which file, which column, which separator; rows under our names."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tempme.errors import BadDataset

NAMES = ("captions.jsonl", "captions.csv", "captions.tsv")
SEPARATORS = (",", ";", "\t", "|")
Row = tuple[int, Mapping[str, Any]]

# What columns are called elsewhere, the likeliest first; letters may be large or small.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": (
        *("file", "video", "video_path", "path", "filename", "file_name", "filepath"),
        *("video_id", "videoid", "video_name", "clip", "clip_id", "vid", "name", "id"),
    ),
    "caption": ("caption", "text", "sentence", "description", "query", "title", "captions"),
    "start": ("start", "start_seconds", "start_time", "begin"),
    "end": ("end", "end_seconds", "end_time", "stop"),
    "split": ("split", "subset", "set"),
    "part": ("part",),
}
NEEDED = ("file", "caption")
_BETWEEN_WORDS = re.compile(r"[\s-]+")  # "Video Name" is video_name
_EXAMPLE = 'write {"file": "dog.mp4", "caption": "a dog jumps"}, one object a line'


def captions_file(path: Path) -> Path:
    """The file itself, or the one of a folder; BadDataset where there is none."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadDataset(f"no folder or captions file at {path}; check the path")
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    others = sorted(
        p.name for p in path.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".jsonl")
    )
    there = f" ({', '.join(others[:4])} {'is' if len(others) == 1 else 'are'} there)"
    raise BadDataset(
        f"{path} has no captions; put {' or '.join(NAMES)} there, or give the captions file itself"
        f"{there if others else ''}"
    )


def rows(source: Path) -> Iterator[Row]:
    """(line, row) of every row, its columns under our names; others keep theirs."""
    if source.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return _jsonl_rows(source)
    return _csv_rows(source)


def bad(source: Path, line: int, what: str, remedy: str) -> BadDataset:
    """The error of a line."""
    return BadDataset(f"{source}, line {line} {what}; {remedy}")


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
            raise bad(source, line, f"is not JSON ({error})", _EXAMPLE) from error
        if not isinstance(row, dict):
            raise bad(source, line, "is not a JSON object", _EXAMPLE)
        yield line, renamed(row)


def _csv_rows(source: Path) -> Iterator[Row]:
    text = _text(source)
    reader = _reader(text, _separator(text))
    try:
        header = reader.fieldnames or []
        ours = _our_names(header)
        _check_columns(source, header, ours.values())
        for row in reader:
            if None in row:
                separator = {"\t": "tabs", ",": "commas"}.get(reader.reader.dialect.delimiter)
                remedy = f"quote {separator or 'what holds the separator'}"
                raise bad(source, reader.line_num, "has too many fields", remedy)
            yield reader.line_num, _renamed(row, ours)
    except csv.Error as error:
        raise bad(source, reader.line_num, f"is not CSV ({error})", "quote the text") from error


def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its columns under our names; others keep theirs."""
    return _renamed(row, _our_names(row))


def _renamed(row: Mapping[Any, Any], ours: Mapping[str, str]) -> dict[str, Any]:
    return {ours.get(str(name), str(name)): value for name, value in row.items()}


def _reader(text: str, separator: str) -> csv.DictReader[str]:
    lines = io.StringIO(text, newline="")
    return csv.DictReader(lines, strict=True, skipinitialspace=True, delimiter=separator)


def _separator(text: str) -> str:
    """The separator by which the first line has the columns that are needed; else a comma."""
    for separator in SEPARATORS:
        try:
            header = _reader(text, separator).fieldnames or []
        except csv.Error:
            continue
        if set(_our_names(header).values()) >= set(NEEDED):
            return separator
    return ","


def _our_names(given: Iterable[str | None]) -> dict[str, str]:
    """Theirs -> ours, each of ours once: the likeliest of several."""
    plain = {_BETWEEN_WORDS.sub("_", str(name).strip().lower()): str(name) for name in given}
    found: dict[str, str] = {}
    for ours, theirs in COLUMNS.items():
        name = next((plain[one] for one in theirs if one in plain), None)
        if name is not None:
            found[name] = ours
    return found


def _check_columns(source: Path, header: Iterable[str], ours: Iterable[str]) -> None:
    missing = [name for name in NEEDED if name not in set(ours)]
    if not missing:
        return
    has = ", ".join(header) or "nothing"
    known = "; ".join(f"{name} may be called {', '.join(COLUMNS[name])}" for name in missing)
    raise bad(
        source,
        1,
        f"has no column {' and '.join(missing)}",
        f"it has {has}. Begin the file with a line `file,caption` or `file,caption,start,end` "
        f"({known})",
    )
