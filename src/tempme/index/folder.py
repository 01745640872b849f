"""The folder of an index: made only where it takes nothing from anybody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tempme.errors import BadIndex
from tempme.index.header import NAME
from tempme.index.model import MODEL_FOLDER


def make_folder(folder: Path) -> None:
    """Make it; BadIndex where that is impossible or something else lies there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = _strangers(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadIndex(f"cannot make the index {folder}: {reason}") from error
    if strangers:
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


def _strangers(folder: Path) -> Sequence[str]:
    """What a run that was killed while it made the index cannot have left."""
    ours = ("lock", MODEL_FOLDER, NAME)
    return sorted(item.name for item in folder.iterdir() if not item.name.startswith(ours))
