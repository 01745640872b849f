"""What verbs print: one JSON document or a table on stdout, everything else on stderr.

Names of files, notes in them and whatever else comes from outside is text that may be written to
deceive: nothing of it reaches a terminal but through `visible`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from tempme.errors import TempmeError
from tempme.uris import uri_of

SHOWN = 10
# Letters and marks by their class that show nothing: fillers, joiners, selectors of variants.
UNSEEN_LETTERS = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)


class Told(Protocol):
    """A file, and what there is to say of it."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def reason(self) -> str:
        """In words for a person."""
        ...


def visible(text: str) -> str:
    """`text` with everything that cannot be seen written out: "\\x1b" for the escape character.

    Controls, line ends, characters that turn the direction of writing or take no room (a name could
    retitle a terminal, forge a line of a table, or look like another), and bytes that are not
    UTF-8. Spaces of every width stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _read_as_utf8(text)
    return "".join(char if _is_seen(char) else _written_out(char) for char in text)


def print_json(document: Mapping[str, Any]) -> None:
    """One document, in UTF-8 whatever the terminal says.

    A name that is not UTF-8 comes out as lone surrogate escapes, which Python and
    `os.fsencode` turn back into the very bytes. What cannot be seen is escaped, too: the text is
    the same to whoever parses it, and harmless to whoever looks at it.
    """
    text = _read_as_utf8(json.dumps(document, indent=2, ensure_ascii=False))
    _write("\n".join(_escaped(line) for line in text.split("\n")))


def print_line(text: str = "") -> None:
    """One line of an answer; tabs in front of it are ours, as those of the field's log lines."""
    words = text.lstrip("\t")
    _write(text[: len(text) - len(words)] + visible(words))


def say(text: str) -> None:
    """One line for the person at the terminal: stderr, so that it never mixes with an answer."""
    try:
        print(_as_utf8(visible(text)).decode(), file=sys.stderr, flush=True)
    except OSError:  # a full disk, a terminal that is gone: no reason to lose the answer
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def say_some(kind: str, items: Sequence[Told], *, rest: str) -> None:
    """A line for each of the first items with its reason; `rest` is where to see all."""
    for item in items[:SHOWN]:
        say(f"{kind}: {shown_path(item.path)}: {item.reason}")
    if len(items) > SHOWN:
        say(f"{kind}: {len(items) - SHOWN:,} more, see {rest}")


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Columns as wide as they need; `right` are those whose entries end in line."""
    rows = [[visible(cell) for cell in row] for row in rows]
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
        return uri_of(path)
    return str(short)


def shown_time(seconds: float) -> str:
    """83.5 -> "1:23.5"."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def counted(number: int, noun: str) -> str:
    """1, "video" -> "1 video"; 2 -> "2 videos"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _is_seen(char: str) -> bool:
    if char in UNSEEN_LETTERS:
        return False
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _written_out(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(line: str) -> str:
    """A line of JSON with the escapes of JSON for what cannot be seen."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(char if _is_seen(char) else json.dumps(char)[1:-1] for char in line)


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
    return _read_as_utf8(text).encode("utf-8", "backslashreplace")


def _read_as_utf8(text: str) -> str:
    """The same bytes as Python reads them where the locale is UTF-8."""
    with suppress(UnicodeEncodeError):  # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return text
