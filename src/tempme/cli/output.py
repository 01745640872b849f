"""What verbs print: one JSON document or a table on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tempme.errors import TempmeError


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
    try:
        print(_as_utf8(text).decode(), file=sys.stderr, flush=True)
    except OSError:  # a full disk, a terminal that is gone: no reason to lose the answer
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


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


def as_words(text: str) -> str:
    """What was typed, whatever locale Python read its bytes in."""
    return _as_utf8(text).decode("utf-8")


class NotWritten(TempmeError):
    """An answer that did not get out."""


def flush() -> None:
    """Write what stdout still holds; NotWritten where that fails, BrokenPipeError for a reader."""
    with _told():
        if sys.stdout is not None:
            sys.stdout.flush()


def give_up_stdout() -> None:
    """Let what stdout still holds go nowhere, so that nothing fails again at the exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    # Bytes: a terminal in the C locale, or a name that is not UTF-8, must not end an answer.
    with _told():
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        sys.stdout.flush()
        sys.stdout.buffer.write(_as_utf8(text) + os.linesep.encode())
        sys.stdout.buffer.flush()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotWritten(
            f"cannot write the answer to stdout: {reason}; send it elsewhere"
        ) from error


def _as_utf8(text: str) -> bytes:
    """UTF-8, whatever locale Python read the bytes of a name in; other bytes as escapes."""
    with suppress(UnicodeEncodeError):  # a surrogate that stands for no byte
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return text.encode("utf-8", "backslashreplace")
