"""Benchmark files, whatever they measured: lists of rows and nested values as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from documents.counted import benchmark_now
from tempme.results.markdown import NOTHING, table

# What a file says of where it was measured, in one line.
PLACE = ("machine", "device", "commit", "load_average", "load_average_at_start")


def benchmark_tables(folder: Path) -> str:
    """Every JSON file of `folder`, one section each."""
    sections = [
        "\n\n".join([f"### {path.stem}", *_sections(_read(path))])
        for path in sorted(folder.glob("*.json"))
    ]
    return "\n\n".join(sections) or "None yet."


def _read(path: Path) -> Any:
    document = json.loads(path.read_text("utf-8"))
    return benchmark_now(document) if isinstance(document, Mapping) else document


def _sections(document: Any, name: str = "") -> list[str]:
    """A document as paragraphs and tables; `name` is where it stands in the file."""
    if _is_rows(document):
        return [_titled(name, _of_rows(document))]
    if not isinstance(document, Mapping):
        return [_titled(name, _cell(document))]
    if document and all(isinstance(value, Mapping) for value in document.values()):
        rows = [{"": key, **_flat(value)} for key, value in document.items()]
        return [_titled(name, _of_rows(rows))]
    plain = {key: value for key, value in document.items() if not _is_deep(value)}
    parts = [_titled(name, _line(plain))] if plain else []
    for key, value in document.items():
        if key not in plain:
            parts += _sections(value, f"{name}.{key}" if name else str(key))
    return parts


def _line(plain: Mapping[str, Any]) -> str:
    """`key` value, ...: first where it was measured."""
    keys = sorted(plain, key=lambda key: PLACE.index(key) if key in PLACE else len(PLACE))
    return "; ".join(f"{_words(key)}: {_cell(plain[key])}" for key in keys)


def _titled(name: str, text: str) -> str:
    return f"**{_words(name)}**\n\n{text}" if name else text


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    keys = list(dict.fromkeys(key for row in flat for key in row))
    words = [key for key in keys if all(isinstance(row.get(key, ""), str) for row in flat)]
    keys = [*words, *(key for key in keys if key not in words)]
    body = [[_cell(row.get(key)) for key in keys] for row in flat]
    return table([_words(key) for key in keys], body, left=len(words))


def _flat(row: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        whole = f"{name}.{key}" if name else str(key)
        flat |= _flat(value, whole) if isinstance(value, Mapping) else {whole: value}
    return flat


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)
    )


def _is_deep(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_rows(value)


def _words(key: str) -> str:
    return key.replace("_", " ").strip()


def _cell(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return " / ".join(map(_cell, value)) or NOTHING
    return str(value).replace("|", "\\|").replace("\n", " ")
