"""`PYTHONPATH=tools python -m documents [methods] [http] [plots] [tables] [--check]`, in root."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from documents import http, methods
from documents.plots import draw
from documents.rendering import stale, write
from tempme.errors import TempmeError

USAGE = "usage: python -m documents [methods] [http] [plots] [tables], or --check"
METHODS, HTTP = Path("docs/methods.md"), Path("docs/http.md")


def main(words: list[str]) -> int:
    """Write the documents that are named; with --check, only say which tables are out of date."""
    if not words or not {*words} <= {"methods", "http", "plots", "tables", "--check"}:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        if words == ["--check"]:
            return _say(stale(), "is out of date: run `make tables`")
        if "methods" in words:
            METHODS.write_text(methods.document(), "utf-8")
        if "http" in words:
            HTTP.write_text(http.document(), "utf-8")
        if "plots" in words:
            _say(draw(), "drawn")
        if "tables" in words:
            _say(write(), "rewritten")
    except TempmeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _say(documents: Sequence[Path], what: str) -> int:
    for document in documents:
        print(f"{document} {what}")
    return int(bool(documents))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
