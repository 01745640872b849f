"""What verbs print: one JSON document or a table on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def print_json(document: Mapping[str, Any]) -> None:
    """One document, in UTF-8 whatever the terminal says.

    A name that is not UTF-8 comes out as lone surrogate escapes, which Python and
    `os.fsencode` turn back into the very bytes.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False)
    _write(text)


def print_line(text: str = "") -> None:
    """One line of an answer."""
    _write(text)


def say(text: str) -> None:
    """One line for the person at the terminal: stderr, so that it never mixes with an answer."""
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Columns as wide as they need; `right` are those whose entries end in line."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        _write("  ".join(cells).rstrip())


def shown_path(path: Path) -> str:
    """A path as short as it stays clear: relative where it lies below the current folder."""
    try:
        short = path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return str(path)
    return str(short)


def shown_time(seconds: float) -> str:
    """83.5 -> "1:23.5"."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def counted(number: int, noun: str) -> str:
    """1, "video" -> "1 video"; 2 -> "2 videos"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _write(text: str) -> None:
    # Bytes: a terminal in the C locale, or a name that is not UTF-8, must not end an answer.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + os.linesep.encode())
    sys.stdout.buffer.flush()
