"""Paths from the command line and from a file that lists them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from tempme.errors import BadSetting

STDIN = Path("-")


def given_files(paths: Sequence[Path] | None, files_from: Path | None) -> list[Path]:
    """The paths named, and those of a file with one on each line; a usage error for none at all."""
    if files_from is None:
        if not paths:
            raise typer.BadParameter("Missing argument 'PATHS...' (or --files-from).")
        return list(paths)
    given = [*(paths or ()), *_listed(files_from)]
    if not given:
        raise BadSetting(f"{files_from} lists no paths; write one on each line")
    return given


def _listed(file: Path) -> list[Path]:
    try:
        text = sys.stdin.buffer.read() if file == STDIN else file.expanduser().read_bytes()
        lines = text.decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise BadSetting(
            f"cannot read {file}: {(error.strerror or str(error)).lower()}; --files-from takes a "
            "text file with a path on each line"
        ) from error
    if any("\0" in line for line in lines):
        raise BadSetting(f"{file} is no list of paths: give a text file with one on each line")
    return [Path(line).expanduser() for line in lines if line.strip()]
