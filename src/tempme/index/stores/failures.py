"""What LanceDB raises when a disk is full or a file is damaged, as one line for a person."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tempme.errors import BadIndex, TempmeError

# Errors of the layers below, each of which says no more than that the next one failed.
WRAPPING = re.compile(
    r"(?:lance error|LanceError\(IO\)|Generic [\w/]+ error|Wrapped error)(?:: )",
)


@contextlib.contextmanager
def writing(folder: Path | str) -> Iterator[None]:
    """BadIndex for whatever a write within raises."""
    try:
        yield
    except BaseException as error:
        _pass_on(error)
        raise BadIndex(f"cannot write to the index {folder}: {_why(error)}") from error


@contextlib.contextmanager
def reading(folder: Path | str, part: str) -> Iterator[None]:
    """BadIndex for whatever a read within raises; `part` is what is read of the index."""
    try:
        yield
    except BaseException as error:
        _pass_on(error)
        raise BadIndex(
            f"the index {folder} cannot be read: {part}: {cause(error)}; "
            f"`tempme check --index {folder} --repair` mends what can be mended"
        ) from error


def _pass_on(error: BaseException) -> None:
    """Raise again what the store did not cause. A panic of Rust is its doing, and no Exception."""
    is_panic = type(error).__name__ == "PanicException"
    if isinstance(error, TempmeError) or not (is_panic or isinstance(error, Exception)):
        raise error


def cause(error: BaseException) -> str:
    """What went wrong, in one line and in the words of the innermost layer."""
    # Lance ends its messages with the place in its own source; a user needs the part before.
    lines = str(error).split(", /")[0].splitlines()
    return WRAPPING.sub("", lines[0]) if lines else type(error).__name__


def _why(error: BaseException) -> str:
    temporary = os.environ.get("TMPDIR")
    if temporary and not Path(temporary).is_dir():
        return (
            f"the folder of temporary files, TMPDIR={temporary}, is not there; what was finished "
            "before is kept: make it or unset TMPDIR, then run the same command again"
        )
    return (
        f"{cause(error)}; what was finished before is kept: make room or writable, then run the "
        "same command again"
    )
