"""How annotation files are read: whatever is not as the data set was published is named."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tempme.errors import BadDataset, UnknownName

Shape = TypeVar("Shape")


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a list file that say something; a final newline or none makes no difference."""
    return tuple(line.strip() for line in _text(path).splitlines() if line.strip())


def read_json(path: Path, shape: type[Shape]) -> Shape:
    """The JSON document of an annotation file, as `shaped`."""
    try:
        document = json.loads(_text(path))
    except (ValueError, RecursionError) as error:  # also: absurd integers, absurd nesting
        raise BadDataset(f"{path} is not JSON ({error}); fetch it again") from error
    return shaped(document, shape, path)


def read_rows(path: Path, shape: type[Shape]) -> list[Shape]:
    """The rows of a CSV file with a header, as `shaped`."""
    try:
        rows = list(csv.DictReader(read_lines(path)))
    except csv.Error as error:
        raise BadDataset(f"{path} is not CSV ({error}); fetch it again") from error
    return shaped(rows, list[shape], path)  # type: ignore[valid-type]


def shaped(document: Any, shape: type[Shape], path: Path) -> Shape:
    """What was read from `path` as a type: containers, strings, dataclasses for tables.

    Keys that a dataclass does not have are left out. BadDataset says where something else is.
    """
    try:
        return TypeAdapter(shape).validate_python(document)
    except ValidationError as reason:
        first = reason.errors()[0]
        place = " > ".join(map(str, first["loc"])) or "the top"
        raise BadDataset(
            f"{path} is not as its data set was published (at {place}: {first['msg']}); fetch it "
            f"again"
        ) from reason


def paragraph(sentences: Iterable[str]) -> str:
    """Sentences as one text: joined with one space, stray spaces and newlines gone."""
    return " ".join(" ".join(sentences).split())


def unknown_split(dataset: str, split: str, known: Iterable[str]) -> UnknownName:
    """The error for a split that a data set does not have."""
    return UnknownName.among(f"split of {dataset}", split, known)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadDataset(
            f"{path} is missing; --annotations is the folder that holds {path.name}"
        ) from error
    except UnicodeDecodeError as error:
        raise BadDataset(f"{path} is not UTF-8 text ({error}); fetch it again") from error
