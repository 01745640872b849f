"""Paths from the command line and from a file that lists them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tempme.errors import BadSetting

STDIN = Path("-")


def given_files(paths: Sequence[Path] | None, files_from: Path | None) -> list[Path]:
    """The paths named, and those of a file with one on each line; BadSetting for none at all."""
    listed = [] if files_from is None else _listed(files_from)
    given = [*(paths or ()), *listed]
    if not given:
        what = "no paths given" if files_from is None else f"{files_from} lists no paths"
        raise BadSetting(f"{what}; name at least one file or folder")
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
