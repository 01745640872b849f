"""The folder of an index: made only where it takes nothing from anybody, and plain throughout."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tempme.atomic import is_draft, remove_drafts
from tempme.errors import BadIndex
from tempme.index.header import NAME, check_not_lost
from tempme.index.model import MODEL_FOLDER


def check_new(folder: Path) -> None:
    """BadIndex where something lies in the way of a new index; nothing is made."""
    if os.path.lexists(folder):
        make_folder(folder)


def make_folder(folder: Path) -> None:
    """Make it; BadIndex where that is impossible or something else lies there.

    What another run has begun there since the caller looked is no other thing: whoever writes next
    finds its header under the lock.
    """
    check_not_lost(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = _strangers(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadIndex(f"cannot make the index {folder}: {reason}") from error
    if strangers and not (folder / NAME).exists():
        raise BadIndex(
            f"{folder} is a folder with other things in it ({strangers[0]}); "
            "an index needs a folder of its own: name one that is empty or does not exist"
        )


def check_present(folder: Path) -> None:
    """BadIndex if the index has been removed; whoever writes on would make half of a new one."""
    if not (folder / NAME).exists():
        raise BadIndex(
            f"the index {folder} is gone: it was removed or moved away during the run; put it "
            "back, or remove what is left of it and run the same command again"
        )


def check_plain(folder: Path) -> None:
    """BadIndex if anything in it is a link, a pipe or a device: no index of ours has one.

    A link would let the index of a stranger read or overwrite files elsewhere, a pipe would block.
    """
    try:
        odd = next((path for path, mode in _below(folder) if not _is_plain(mode)), None)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadIndex(f"the index {folder} cannot be read: {error.filename}: {reason}") from error
    if odd is not None:
        raise BadIndex(
            f"the index {folder} is not used: {odd.relative_to(folder)} in it is a link, a pipe or "
            "a device, and an index has only files and folders; remove it, or index again elsewhere"
        )


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left half-written; the caller holds the write lock."""
    for inside in (folder, folder / MODEL_FOLDER):
        remove_drafts(inside)
    for part in folder.glob("*.lance/**/.tmp*"):
        with suppress(OSError):
            part.unlink()


def _below(folder: Path) -> Iterator[tuple[Path, int]]:
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # a writer tidies up
                    mode = entry.stat(follow_symlinks=False).st_mode
                    yield Path(entry.path), mode
                    if stat.S_ISDIR(mode):
                        pending.append(Path(entry.path))


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _strangers(folder: Path) -> Sequence[str]:
    """What a run that was killed while it made the index cannot have left."""
    ours = ("lock", MODEL_FOLDER, NAME)
    return sorted(i.name for i in folder.iterdir() if i.name not in ours and not is_draft(i.name))
