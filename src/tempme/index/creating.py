"""A new index: a folder with a header, the model if it has no name, and its text side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tempme.engines.choice import ANY_ENGINE, AUTO, TORCH
from tempme.index.building.encode import Encoder
from tempme.index.folder import make_folder, remove_leftovers
from tempme.index.header import NAME, Cutting, Header
from tempme.index.lock import writing
from tempme.index.model import MODEL_FOLDER, cannot_keep, keep_words, save_model
from tempme.video.values import Fit

# What is at the edges of a wide frame is then seen.
NEW_FIT: Fit = "squash"


def begin(folder: Path, retriever: Encoder, cutting: Cutting, *, source: str | None) -> None:
    """Make an index without rows in `folder`, unless another run was quicker.

    `source` is what `tempme.load` takes to load the model again; without it the model is saved.
    """
    make_folder(folder)
    with writing(folder):
        if (folder / NAME).exists():
            return
        remove_leftovers(folder)
        _write(folder, retriever, cutting, source or save_model(retriever, folder))


def begin_with_copy(folder: Path, model: Encoder | str | None, settings: dict[str, Any]) -> bool:
    """Make an index with a copy of the files of a saved retriever, which is not loaded.

    `settings` are those of `Index.create`. False, with nothing made, where the model is no saved
    retriever on this disk that can be read so, where another engine is asked for, or another run
    was quicker: whoever loads the model tells.
    """
    from tempme.retriever.copied import copy_saved, text_side
    from tempme.retriever.names import Saved, look_up

    running, cut = settings.get("running", ANY_ENGINE), {**settings}
    cut.pop("running", None)
    cutting = Cutting(**{"fit": NEW_FIT, **cut})
    is_here = isinstance(model, str) and Path(model).expanduser().exists()
    if not is_here or running.settled.engine not in (AUTO, TORCH):
        return False
    found = look_up(str(model))
    if not isinstance(found, Saved) or (retriever := text_side(found.folder)) is None:
        return False
    make_folder(folder)
    with writing(folder):
        if (folder / NAME).exists():
            return False
        remove_leftovers(folder)
        try:
            copy_saved(found.folder, folder / MODEL_FOLDER)
        except OSError as error:
            raise cannot_keep(folder, error) from error
        _write(folder, retriever, cutting, MODEL_FOLDER)
    return True


def _write(folder: Path, retriever: Encoder, cutting: Cutting, source: str) -> None:
    header = Header(
        source=source,
        fingerprint=retriever.fingerprint,
        frames=retriever.num_frames,
        features=retriever.feature_size,
        cutting=cutting,
    )
    header.write(folder)
    keep_words(retriever, folder)
