"""Paths as text that every store and every locale keeps: valid Unicode, and exact both ways."""

from __future__ import annotations

import os
from pathlib import Path

from tempme.uris import is_remote, uri_of


def path_to_text(path: Path) -> str:
    """The bytes of `path` read as UTF-8; a byte that is none becomes NUL and two hex digits.

    That of an object in a bucket is its URI, of which a `Path` holds one slash of the two.

    No path has a NUL in it, so the way back is exact. Which text a path gets does not depend on
    the locale, in which Python may hold the same bytes under another spelling.
    """
    text = os.fsencode(uri_of(path)).decode("utf-8", "surrogateescape")
    return "".join(
        f"\0{ord(char) - 0xDC00:02x}" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text
    )


def path_to_bytes(path: Path) -> bytes:
    """The same text as UTF-8: the bytes of the path, where those are UTF-8."""
    name = os.fsencode(path)
    try:
        name.decode()
    except UnicodeDecodeError:
        return path_to_text(path).encode()
    return name


def text_to_path(text: str) -> Path:
    """The path that `path_to_text` wrote; ValueError for a text that it cannot have written."""
    head, *rest = text.split("\0")
    escaped = [chr(0xDC00 + _byte(part[:2])) + part[2:] for part in rest]
    name = (head + "".join(escaped)).encode("utf-8", "surrogateescape")
    return Path(os.fsdecode(name))


def real_path(given: str | Path) -> Path:
    """Where the index has what lies at a path: without links. A place in a bucket has none."""
    return Path(given) if is_remote(given) else Path(os.path.realpath(Path(given).expanduser()))


def _byte(digits: str) -> int:
    value = int(digits, 16)
    if not 0x80 <= value <= 0xFF:
        raise ValueError(f"{digits!r} is not a byte that needs an escape")
    return value
