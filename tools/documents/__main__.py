"""The command line of `documents`; run it in the root."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from documents import command_line, http, methods, public_names
from documents.curves import draw_curves
from documents.plots import draw
from documents.rendering import stale, write
from tempme.errors import TempmeError

USAGE = "usage: python -m documents [pages] [plots] [tables], or --check"
PAGES = {
    Path("docs/cli.md"): command_line.document,
    Path("docs/http.md"): http.document,
    Path("docs/methods.md"): methods.document,
    Path("docs/python.md"): public_names.document,
}


def main(words: list[str]) -> int:
    """Write the documents that are named; with --check, only say which tables are out of date."""
    if not words or not {*words} <= {"pages", "plots", "tables", "--check"}:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        if words == ["--check"]:
            return _say(stale(), "is out of date: run `make tables`")
        if "pages" in words:
            for page, made in PAGES.items():
                page.write_text(made(), "utf-8")
        if "plots" in words:
            _say((*draw(), *draw_curves()), "drawn")
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
