"""Files of strangers: an index from a friend, weights from the internet.

Nothing is opened that could block or lead elsewhere (pipes, devices, links), and nothing is read
that is larger than its kind can be.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

MEBIBYTE = 1 << 20
# Larger than any table of settings; a tokenizer's file is a few MB.
MOST_TEXT_BYTES = 64 * MEBIBYTE
_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0)
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)


def open_regular(path: Path, *, flags: int = os.O_RDONLY, follow: bool = False) -> BinaryIO:
    """An ordinary file, unbuffered; OSError for a pipe, a device, a folder, or a link.

    `flags` as of `os.open`. `follow`: a link is followed to the ordinary file it leads to, as in
    the cache of a hub.
    """
    wanted = flags | _NOT_WAITING | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, wanted if follow else wanted | _NOT_FOLLOWED, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "is a link, which is not followed", str(path)) from error
        if error.errno == errno.ENXIO:  # a pipe without a reader
            raise _not_ordinary(path) from error
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _not_ordinary(path)
    return os.fdopen(number, "rb" if flags == os.O_RDONLY else "rb+", buffering=0)


def check_regular(path: Path) -> None:
    """OSError unless `path`, links followed, is an ordinary file: for readers that open it."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise _not_ordinary(path)


def read_bytes(path: Path, *, most_bytes: int = MOST_TEXT_BYTES, follow: bool = False) -> bytes:
    """All of an ordinary file; OSError where it is larger than `most_bytes`."""
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"has {size:,} bytes, more than {most_bytes:,}", str(path))
        content = bytearray()
        while block := file.read(most_bytes + 1 - len(content)):
            content += block
            if len(content) > most_bytes:
                raise OSError(errno.EFBIG, f"has more than {most_bytes:,} bytes", str(path))
        return bytes(content)


def read_json(path: Path, *, most_bytes: int = MOST_TEXT_BYTES, follow: bool = False) -> Any:
    """A document; OSError, or ValueError where it is not JSON or nested deeper than any of ours."""
    return parsed_json(read_bytes(path, most_bytes=most_bytes, follow=follow))


def parsed_json(content: bytes) -> Any:
    """A document; ValueError where it is not JSON or nested deeper than any of ours."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_toml(path: Path, *, most_bytes: int = MEBIBYTE, follow: bool = False) -> dict[str, Any]:
    """A table; OSError, or ValueError where it is not TOML or nested deeper than any of ours."""
    text = read_bytes(path, most_bytes=most_bytes, follow=follow).decode("utf-8")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _not_ordinary(path: Path) -> OSError:
    return OSError(errno.EINVAL, "is not an ordinary file", str(path))
