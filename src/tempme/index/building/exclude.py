"""What a person leaves out: patterns as in `.gitignore`, given to a run or kept in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tempme.errors import BadSetting

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".tempmeignore"
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Patterns:
    """Patterns, and the folder that they count from, as a path below the root of the walk."""

    folder: str
    spec: GitIgnoreSpec

    def verdict(self, place: str) -> bool | None:
        """Whether `place`, a path below the same root, is left out; None if nothing is said."""
        if self.folder:
            place = place.removeprefix(self.folder + "/")
        return self.spec.check_file(place).include


@dataclass(frozen=True)
class Excluding:
    """The patterns that hold in one folder; what is said last, or nearest, decides."""

    given: tuple[Patterns, ...] = ()
    kept: tuple[Patterns, ...] = ()

    def leaves_out(self, place: str) -> bool:
        """Whether `place` is left out: a path below the root, a folder with a slash at its end."""
        verdicts = (each.verdict(place) for each in (*self.given, *reversed(self.kept)))
        return next((verdict for verdict in verdicts if verdict is not None), False)

    def below(self, folder: Path, place: str) -> Excluding:
        """What holds in `folder`, which lies at `place`: its ignore file counts from there on."""
        lines = _lines_of(folder / IGNORE_FILE)
        if not lines:
            return self
        found = Patterns(place, _spec(lines, str(folder / IGNORE_FILE)))
        return replace(self, kept=(*self.kept, found))


def excluding(patterns: Sequence[str], root: Path) -> Excluding:
    """The patterns of a run as they hold below `root`; BadSetting for one that means nothing.

    A pattern may be the path of something below `root`, as it is on this disk.
    """
    if not patterns:
        return Excluding()
    lines = [_below_root(pattern, root) for pattern in patterns]
    return Excluding(given=(Patterns("", _spec(lines, "--exclude")),))


def _below_root(pattern: str, root: Path) -> str:
    absolute = f"{root}/" if str(root) != "/" else "/"
    whole = str(Path(pattern).expanduser()) if pattern.startswith("~") else pattern
    if not whole.startswith(absolute) or absolute == "/":
        return pattern
    return "/" + whole.removeprefix(absolute)


def _spec(lines: Sequence[str], source: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise BadSetting(f"{source}: {error}; write patterns as in a .gitignore") from error


def _lines_of(path: Path) -> list[str]:
    """The lines of an ignore file; whatever else has its name is none."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}; mend or remove it") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return []
        content = os.read(handle, MOST_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > MOST_BYTES:
        raise BadSetting(f"{path} is larger than {MOST_BYTES:,} bytes; it holds patterns, by lines")
    return content.decode("utf-8", "surrogateescape").removeprefix("\ufeff").splitlines()
