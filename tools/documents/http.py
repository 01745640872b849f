"""The HTTP interface in words: docs/http.md, written from the OpenAPI document of the service."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tempme.index import Index
from tempme.index.header import Cutting, Header
from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings

HEAD = """\
# HTTP

Written by `make docs` from the OpenAPI document of the service; do not edit. `tempme serve` has the
same at /docs, to read, and at /openapi.json, for programs. How to run it, and what keeps it safe:
[serving.md](serving.md).

"""
METHODS = ("get", "post", "put", "delete")


def document() -> str:
    """The whole file."""
    api = openapi()
    parts = [HEAD + api["info"]["description"]]
    groups: dict[str, list[str]] = {}
    for path, operations in api["paths"].items():
        for method in METHODS:
            if method in operations:
                about = operations[method]
                tag = about.get("tags", ["other"])[0]
                groups.setdefault(tag, []).append(_operation(path, method, about))
    for tag, told in groups.items():
        parts += [f"## {tag.capitalize()}", *told]
    parts.append("## Values")
    parts += [_value(name, schema) for name, schema in api["components"]["schemas"].items()]
    return "\n\n".join(parts) + "\n"


def openapi() -> dict[str, Any]:
    """The OpenAPI document of a service; of any, as it does not depend on the index."""
    with tempfile.TemporaryDirectory() as folder:
        header = Header("scenes-tiny", "none", 12, 128, Cutting())
        index = Index(Path(folder), header)
        made: dict[str, Any] = create_app(index, ServeSettings()).openapi()
        return made


def _operation(path: str, method: str, about: dict[str, Any]) -> str:
    lines = [f"### {method.upper()} {path}", about.get("description", "")]
    if rows := [_parameter(one) for one in about.get("parameters", [])]:
        lines.append(_table(("parameter", "where", "value", "meaning"), rows))
    for kind, body in about.get("requestBody", {}).get("content", {}).items():
        lines.append(f"Body, {kind}: {_kind(body.get('schema', {}))}")
        if "example" in body:
            example = json.dumps(body["example"])
            lines.append(
                f"    curl -X {method.upper()} http://127.0.0.1:8000{path} \\\n"
                f"      -H 'Content-Type: {kind}' -d '{example}'"
            )
    for status, answer in about["responses"].items():
        if status.startswith("2"):
            shown = [
                f"{kind}: {_kind(body.get('schema', {}))}"
                for kind, body in answer.get("content", {}).items()
            ]
            lines.append(f"Answer {status}, {' or '.join(shown) or 'nothing'}")
    return "\n\n".join(line for line in lines if line)


def _parameter(one: dict[str, Any]) -> tuple[str, ...]:
    schema = one.get("schema", {})
    meaning = one.get("description") or schema.get("description", "")
    return f"`{one['name']}`", one["in"], _kind(schema), meaning


def _value(name: str, schema: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        (f"`{field}`", _kind(told), told.get("description", ""))
        for field, told in schema.get("properties", {}).items()
    ]
    parts = [f"### {name}", schema.get("description", "")]
    parts.append(_table(("field", "value", "meaning"), rows) if rows else "")
    return "\n\n".join(part for part in parts if part)


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return ", ".join([str(schema.get("type", "anything")), *_limits(schema)])


def _limits(schema: dict[str, Any]) -> list[str]:
    words = {
        "minimum": "from {}",
        "maximum": "to {}",
        "maxLength": "at most {} letters",
        "maxItems": "at most {}",
        "format": "{}",
    }
    told = [words[name].format(_plain(schema[name])) for name in words if name in schema]
    if schema.get("default") is not None and schema.get("type") != "object":
        told.append(f"default {json.dumps(_plain(schema['default']))}")
    return told


def _plain(value: Any) -> Any:
    """Whole numbers as 30, whichever of 30 and 30.0 this version of pydantic has put down."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
