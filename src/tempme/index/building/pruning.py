"""Rows of files that are gone; a disk that is not mounted is not a deletion."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.errors import BadSetting
from tempme.index.building.ledger import Ledger
from tempme.index.building.scan import has_vanished

# An empty folder that held so many videos looks like the place where a disk was mounted.
MANY = 3
# Where systems mount what is plugged in: in the first, or in a folder of a user in the second.
MOUNTS = tuple(map(Path, ("/media", "/mnt", "/run/media", "/Volumes")))
MOUNTS_OF_USERS = tuple(map(Path, ("/media", "/run/media")))


@dataclass(frozen=True)
class Root:
    """A path that a run was given, by what the index knows there: `known` rows at and below it.

    `is_alive`: something to index was found there, so whatever is missing was taken away.
    """

    path: Path
    exists: bool
    known: int
    is_alive: bool

    @classmethod
    def of(cls, given: Path, ledger: Ledger, found: Sequence[Path]) -> Root:
        """The root at `given`, of a run that found the files `found`."""
        path = Path(os.path.realpath(given))
        known = ledger.below(path)
        is_alive = any(file.is_relative_to(path) for file in found)
        if known and not path.exists() and ledger.row(path) is not None:  # a file, by its name
            is_alive = not is_empty(path.parent)
        return cls(path, os.path.lexists(given), known, is_alive)


def check_roots(roots: Sequence[Root], *, prune: bool, force: bool) -> None:
    """BadSetting for a root that is not there, and for pruning below one that shows nothing.

    A known file may be pruned by its name as long as its folder shows that it is there.
    """
    for root in roots:
        if not root.exists and not (prune and root.known):
            raise BadSetting(f"no such file or folder: {_shown(root)}{_known_there(root)}")
        if prune and not force and root.known and not root.is_alive:
            state = "holds nothing to index" if root.exists else "does not exist"
            raise BadSetting(
                f"{_shown(root)} {state}, but the index knows {_videos(root.known)} there: if a "
                "disk is not mounted, mount it; if they are deleted, add --force to remove them"
            )


def rows_to_prune(ledger: Ledger, roots: Sequence[Root], *, force: bool) -> tuple[Path, ...]:
    """Known paths at and below `roots` that are gone; BadSetting if that looks like an accident."""
    for root in roots:
        gone = ledger.vanished([root.path])
        if force or not gone or root.known == 1:
            continue
        if 2 * len(gone) > root.known:
            raise _too_many(root.path, len(gone), root.known)
        for folder, number in _emptied(ledger, gone, root.path).items():
            if number >= MANY:
                raise _too_many(folder, number, number)
    return ledger.vanished([root.path for root in roots])


def was_moved(path: Path, roots: Sequence[Root]) -> bool:
    """Whether a known file is gone from a place that is there, so that it must have been moved."""
    if not has_vanished(path):
        return False
    holder = nearest_folder(path)
    is_below = (root.is_alive and holder.is_relative_to(root.path) for root in roots)
    return any(is_below) and not is_empty(holder)


def nearest_folder(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    return next((folder for folder in path.parents if folder.is_dir()), Path(path.anchor))


def is_empty(folder: Path) -> bool:
    """Whether nothing can be seen in a folder."""
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return True


def _emptied(ledger: Ledger, gone: Sequence[Path], root: Path) -> Counter[Path]:
    """Empty folders, and how many contents went with them that no other file has."""
    lost = (path for path in gone if not ledger.has_elsewhere(path))
    places = Counter(_emptied_place(path) for path in lost)
    return Counter({f: n for f, n in places.items() if f != root and is_empty(f)})


def _emptied_place(path: Path) -> Path:
    """The folder that may have been emptied, or have gone with its disk, when `path` went."""
    holder = nearest_folder(path)
    below = holder / path.relative_to(holder).parts[0]
    return below if below != path and _holds_mounts(holder) else holder


def _holds_mounts(folder: Path) -> bool:
    """Whether systems make a folder in it for a disk, and remove that with the disk."""
    return folder in MOUNTS or folder.parent in MOUNTS_OF_USERS


def _too_many(folder: Path, gone: int, known: int) -> BadSetting:
    return BadSetting(
        f"--prune removes nothing: {gone} of the {_videos(known)} known in {folder} are gone; if "
        "a disk is not mounted, mount it; if they are deleted, add --force (what was found is "
        "indexed)"
    )


def _videos(number: int) -> str:
    return f"{number:,} video" + ("" if number == 1 else "s")


def _known_there(root: Root) -> str:
    if not root.known:
        return ""
    return (
        f"; the index knows {_videos(root.known)} there: mount the disk, or remove them with "
        "--prune --force"
    )


def _shown(root: Root) -> str:
    return str(root.path).encode("utf-8", "backslashreplace").decode("utf-8")
