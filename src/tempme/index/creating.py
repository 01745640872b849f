"""A new index: a folder with a header, the model if it has no name, and its text side."""

from __future__ import annotations

from pathlib import Path

from tempme.index.building.encode import Encoder
from tempme.index.folder import make_folder, remove_leftovers
from tempme.index.header import NAME, Cutting, Header
from tempme.index.lock import writing
from tempme.index.model import keep_words, save_model


def begin(folder: Path, retriever: Encoder, cutting: Cutting, *, source: str | None) -> None:
    """Make an index without rows in `folder`, unless another run was quicker.

    `source` is what `tempme.load` takes to load the model again; without it the model is saved.
    """
    make_folder(folder)
    with writing(folder):
        if (folder / NAME).exists():
            return
        remove_leftovers(folder)
        header = Header(
            source=source or save_model(retriever, folder),
            fingerprint=retriever.fingerprint,
            frames=retriever.num_frames,
            features=retriever.feature_size,
            cutting=cutting,
        )
        header.write(folder)
        keep_words(retriever, folder)
