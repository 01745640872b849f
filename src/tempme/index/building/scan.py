"""Which files lie below the given paths, and what is left out on the way."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.errors import BadSetting
from tempme.index.building.exclude import Excluding, excluding
from tempme.index.building.rubbish import PROXY, rule_against_file, rule_against_folder
from tempme.index.building.suffixes import is_named_like_a_picture, is_named_like_a_video
from tempme.uris import is_remote, uri_of

IN_A_BUCKET = (
    "index it with `tempme index URI --shards SHARDS`, and load those with `tempme store load`"
)


@dataclass(frozen=True)
class File:
    """An ordinary file as it was seen: `path` is real, free of symbolic links.

    `is_named`: a person gave this very path; what they get is a row or a sentence.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    is_named: bool = False


@dataclass(frozen=True)
class Unseen:
    """A folder or file that could not be looked into, or is nothing to index, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class FoundFiles:
    """What lies on disk: files ordered by path, what could not be seen, and what was skipped.

    `skipped` counts, by rule, folders and files named like a video or picture.
    """

    files: tuple[File, ...]
    unreadable: tuple[Unseen, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True)
class _Folder:
    """A folder still to walk: where it really is, and its path below the root ("" for that)."""

    path: Path
    place: str
    patterns: Excluding


def given_paths(given: Iterable[str | Path] | str | Path) -> tuple[Path, ...]:
    """One path or several, as a person gave them; BadSetting for none."""
    paths = [given] if isinstance(given, str | Path) else list(given)
    if not paths:
        raise BadSetting("no paths given; name at least one file or folder")
    if "" in paths:  # `Path` would make the folder of it that one is in
        raise BadSetting("a path is empty; name a file or folder (. is the current one)")
    return tuple(Path(path).expanduser() for path in paths)


def find_files(
    roots: Sequence[Path], *, exclude: Sequence[str] = (), within: Sequence[Path] = ()
) -> FoundFiles:
    """All ordinary files at and below `roots`.

    Links are followed and each file is found once, under its real path. `exclude` are patterns as
    in a .gitignore, relative to each root; those of `.tempmeignore` files are relative to the
    folder they lie in. `rubbish` holds below roots, never for a root itself. `within`: real folders
    out of which no link is followed. BadSetting if a root does not exist, or lies outside of them.
    """
    walk = _Walk(tuple(within))
    for root in roots:
        if is_remote(root):
            raise BadSetting(f"{uri_of(root)} is in a bucket: {IN_A_BUCKET}")
        if not _exists(root):
            raise BadSetting(f"no such file or folder: {_shown(root)}")
        real = Path(os.path.realpath(root))
        if not walk.is_within(real):
            raise BadSetting(f"{_shown(root)} leads out of the folders that may be indexed")
        walk.take_root(real, exclude)
    return FoundFiles(
        files=tuple(walk.files[path] for path in sorted(walk.files)),
        unreadable=tuple(walk.unreadable[path] for path in sorted(walk.unreadable)),
        skipped=dict(walk.skipped.most_common()),
    )


def has_vanished(path: Path) -> bool:
    """Whether the file is gone for sure; a folder that may not be entered proves nothing.

    Nor is anybody asked for each object of a bucket: what is gone there shows in its list.
    """
    if is_remote(path):
        return False
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


class _Walk:
    """Depth first without recursion: a folder tree may be deeper than Python's stack."""

    def __init__(self, within: tuple[Path, ...] = ()) -> None:
        self._within = within
        self.files: dict[Path, File] = {}
        self.unreadable: dict[Path, Unseen] = {}
        self.skipped: Counter[str] = Counter()
        self._seen: set[Path] = set()

    def is_within(self, real: Path) -> bool:
        """Whether a real path may be looked at."""
        return not self._within or any(real.is_relative_to(folder) for folder in self._within)

    def take_root(self, root: Path, exclude: Sequence[str]) -> None:
        """All that lies at and below `root`."""
        if not root.is_dir():
            patterns = excluding(exclude, root.parent)
            if patterns.leaves_out(root.name):
                self.skipped["excluded"] += 1
            else:
                self._take(root, is_named=True)
            return
        stack = [_Folder(root, "", excluding(exclude, root))]
        while stack:
            folder = stack.pop()
            if folder.path not in self._seen:
                self._seen.add(folder.path)
                stack.extend(self._walk(folder))

    def _walk(self, folder: _Folder) -> list[_Folder]:
        """Take the files of a folder; the folders in it."""
        try:
            with os.scandir(folder.path) as entries:
                inside = list(entries)
        except OSError as error:
            self._say(folder.path, error)
            return []
        patterns = folder.patterns.below(folder.path, folder.place)
        names = frozenset(entry.name.lower() for entry in inside)
        folders = []
        for entry in inside:
            path = Path(os.path.realpath(entry.path) if entry.is_symlink() else entry.path)
            place = f"{folder.place}/{entry.name}" if folder.place else entry.name
            if entry.is_symlink() and not self.is_within(path):
                self.skipped["link elsewhere"] += 1
            elif _is_folder(entry):
                if not self._skips(rule_against_folder(entry.name), patterns, f"{place}/"):
                    folders.append(_Folder(path, place, patterns))
            elif not self._skips(rule_against_file(entry.name, names), patterns, place):
                self._take(path, shown=Path(entry.path))
        return folders

    def _skips(self, rule: str, patterns: Excluding, place: str) -> bool:
        """Whether what lies at `place` is skipped; the person's patterns are asked first."""
        is_proxy = rule == PROXY
        rule = "excluded" if patterns.leaves_out(place) else rule
        if rule and (place.endswith("/") or is_proxy or _promises(Path(place))):
            self.skipped[rule] += 1
        return bool(rule)

    def _take(self, path: Path, *, is_named: bool = False, shown: Path | None = None) -> None:
        if path in self.files and not is_named:
            return
        try:
            about = path.stat()
        except OSError as error:
            self._take_unseen(path, shown or path, error, is_named=is_named)
            return
        if stat.S_ISREG(about.st_mode):
            self.files[path] = File(path, about.st_size, about.st_mtime_ns, is_named)
        elif is_named or _promises(path):  # a pipe or a device would block whoever opens it
            self.unreadable[path] = Unseen(path, "not an ordinary file")

    def _take_unseen(self, path: Path, shown: Path, error: OSError, *, is_named: bool) -> None:
        """A file that cannot be looked at, or a link that leads nowhere."""
        if not is_named and has_vanished(path):
            if _promises(shown):
                self.skipped["broken link"] += 1
        elif is_named or _promises(shown):
            self._say(shown, error)

    def _say(self, path: Path, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        self.unreadable[path] = Unseen(path, reason)


def _promises(path: Path) -> bool:
    return is_named_like_a_video(path) or is_named_like_a_picture(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
