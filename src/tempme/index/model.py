"""How an index comes by its model, and makes sure that it is the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tempme.backbones.config import DEFAULT_MODEL as DEFAULT_MODEL
from tempme.engines.agreement import engine_in, without_engine
from tempme.engines.choice import ANY_ENGINE, AUTO, TORCH, EngineChoice
from tempme.errors import BadIndex, NoNetwork, TempmeError, WrongModel
from tempme.index.building.encode import Encoder, encode_queries
from tempme.index.header import Header

if TYPE_CHECKING:
    from tempme.index.words import KeptWords
    from tempme.retriever.frugal import Known, Side

# Where an index keeps the model that has no name by which it could be loaded again.
MODEL_FOLDER = "model"


class IndexModel:
    """The model of the index in `folder`: given, or loaded when first needed.

    One that is given has to be the one that made the index, else WrongModel.

    Queries in words are read with the text side that the index keeps, until all of it is there.
    """

    def __init__(
        self,
        folder: Path,
        header: Header,
        *,
        given: Encoder | None = None,
        running: EngineChoice = ANY_ENGINE,
    ) -> None:
        self._folder, self._header, self._running = folder, header, running
        self._given = None if given is None else checked(given, header, folder)
        self._ready: Encoder | None = None
        self._alone: tuple[Side, Encoder] | None = None
        self._known: Known | None = None
        self._words: KeptWords | None = None

    def ready(self) -> Encoder:
        """All of it, ready to encode; WrongModel if it is not the one that made the index."""
        if self._ready is None:
            self._alone = None
            ready = self._read_ready() or self._loaded()
            self._ready = _near(ready, self._header, self._folder)
            self._given = None  # what it was made of takes as much memory again
        return self._ready

    def side(self, side: Side) -> Encoder:
        """What encodes videos ("vision") or texts ("text"), without the other where it can be read
        alone: an index that is made holds no more of the model at a time than the larger of both.
        """
        known = self._alone
        if self._ready is None and (known is None or known[0] != side):
            self._alone = known = None  # its memory is for the other
            if (made := self._read_ready(side)) is not None:
                self._alone = known = (side, _near(made, self._header, self._folder))
        return self.ready() if known is None else known[1]

    def _read_ready(self, side: Side | None = None) -> Encoder | None:
        """The model that the index names, made ready while it is read; None where it cannot be."""
        if self._given is not None or self._header.format == 1:
            return None
        from tempme.retriever.frugal import load_side

        header, choice = self._header, _chosen(self._header, self._running)
        kept = header.source == MODEL_FOLDER
        source = str(self._folder / MODEL_FOLDER) if kept else header.source
        expected = header.fingerprint
        found = load_side(side, source, choice, fingerprint=expected, known=self._known)
        if found is None or not _made(found[0], header):
            return None
        made, self._known = found
        return made

    def _loaded(self) -> Encoder:
        given = self._given
        if given is None:
            found = load_source(self._header.source, self._folder)
            given = _again(found, self._header, self._folder)
        choice = _chosen(self._header, self._running)
        return given.for_inference(choice.precision, choice.engine, choice.device)

    def encode(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Texts -> unit features (Q, D)."""
        if kept := self._kept():
            return kept.words.encode_texts(queries)
        return encode_queries(self.ready(), queries)

    def unread(self, text: str) -> str:
        """What of a text it does not take in; empty if it takes in all."""
        if kept := self._kept():
            from tempme.retriever.unread import unread

            return unread(kept.words.tokenizer, text, max_words=kept.words.max_words)
        return self.ready().unread(text)

    @property
    def origin(self) -> str:
        """Where the weights come from, for a person."""
        if self._ready is None and self._alone is not None:
            return self._alone[1].origin
        kept = self._kept()
        return kept.origin if kept else self.ready().origin

    def _kept(self) -> KeptWords | None:
        if self._given is not None or self._ready is not None or not self._running.is_open:
            return None
        from tempme.index.words import read_words

        self._words = self._words or read_words(self._folder, self._header)
        return self._words


def load_model(source: str) -> Encoder:
    """What `tempme.load` gives."""
    from tempme.retriever.retriever import Retriever

    return Retriever.load(source)


def model_to_begin(given: Encoder | str | None) -> tuple[Encoder, str | None]:
    """The model of a new index, and what loads it again; None for one that the index keeps.

    Without one it is the published CLIP. Of what lies on this disk an index keeps a copy.
    """
    if given is None:
        return load_default_model(), DEFAULT_MODEL
    if isinstance(given, str):
        return load_model(given), None if Path(given).expanduser().exists() else given
    return given, None


def opened_model(
    folder: Path, header: Header, given: Encoder | str | None, running: EngineChoice
) -> IndexModel:
    """The model of an index that is there; WrongModel if what is given did not make it."""
    found = load_model(given) if isinstance(given, str) else given
    return IndexModel(folder, header, given=found, running=running)


def on_engine(retriever: Encoder, running: EngineChoice) -> Encoder:
    """The retriever on the engine that is asked for, where that is another one than PyTorch."""
    wanted = running.settled
    if wanted.engine in (AUTO, TORCH):
        return retriever
    return retriever.for_inference(wanted.precision, wanted.engine)


def load_source(source: str, folder: Path) -> Encoder:
    """The model that the index in `folder` names; BadIndex where its own copy is damaged."""
    own = folder / MODEL_FOLDER
    if source != MODEL_FOLDER:
        return load_model(source)
    try:
        return load_model(str(own))
    except (TempmeError, OSError) as error:
        from tempme.retriever.names import SYSTEM

        described = own / SYSTEM
        why = str(error) if described.is_file() else f"{described} is missing"
        raise BadIndex(
            f"the index {folder} cannot load its model: {why}; put the folder {own} back from a "
            "copy, or index again"
        ) from error


def load_default_model() -> Encoder:
    """The published CLIP; NoNetwork with the choices where it cannot be fetched."""
    try:
        return load_model(DEFAULT_MODEL)
    except NoNetwork as error:
        raise NoNetwork(
            f"the default model {DEFAULT_MODEL} is not here and cannot be fetched ({error}); give "
            "--model scenes-tiny (shipped; knows generated scenes only), a folder that "
            "Retriever.save wrote, a file or folder of CLIP weights, or a hub id in the cache"
        ) from error


def save_model(retriever: Encoder, folder: Path) -> str:
    """Keep a copy in the index at `folder`; the source by which it finds it again."""
    try:
        retriever.save(folder / MODEL_FOLDER)
    except OSError as error:
        raise cannot_keep(folder, error) from error
    return MODEL_FOLDER


def cannot_keep(folder: Path, error: OSError) -> BadIndex:
    """What to raise where the copy of the model cannot be written."""
    return BadIndex(
        f"cannot write the index {folder}: a copy of the model goes into it, but {error}"
    )


def keep_words(retriever: Encoder, folder: Path) -> None:
    """Keep the text side in the index, where it can be kept alone."""
    from tempme.index.words import KeptWords, write_words
    from tempme.retriever.retriever import Retriever
    from tempme.retriever.words import words_of

    if isinstance(retriever, Retriever) and (words := words_of(retriever.parts)) is not None:
        write_words(folder, KeptWords(words, retriever.origin), fingerprint=retriever.fingerprint)


def checked(retriever: Encoder, header: Header, folder: Path) -> Encoder:
    """The retriever, if it is the one that made the index; else WrongModel names both."""
    if not _made(retriever, header):
        raise WrongModel(
            f"the index {folder} was made by the model {header.fingerprint} ({header.source}), "
            f"this one is {retriever.fingerprint}: leave --model out, or make another index"
        )
    return retriever


def _again(retriever: Encoder, header: Header, folder: Path) -> Encoder:
    """The model that an index names, if it still is the one that made it."""
    if not _made(retriever, header):
        if header.source == MODEL_FOLDER:
            raise WrongModel(
                f"the index {folder} cannot use its model: {folder / MODEL_FOLDER} is no longer "
                f"what it was ({header.fingerprint} then, {retriever.fingerprint} now); put that "
                "folder back from a copy, or index again"
            )
        raise WrongModel(
            f"the model {header.source} is no longer the one that made the index {folder} "
            f"({header.fingerprint} then, {retriever.fingerprint} now): make another index with it"
        )
    return retriever


def _made(retriever: Encoder, header: Header) -> bool:
    """Whether the model made the index; an index of format 1 has another name for it."""
    names = retriever.fingerprints
    own = map(without_engine, names if header.format == 1 else names[:1])
    return without_engine(header.fingerprint) in own


def _chosen(header: Header, running: EngineChoice) -> EngineChoice:
    """As is asked for, else the engine that the index names."""
    named = engine_in(header.fingerprint)
    if named is None or not running.is_open:
        return running
    return replace(running, engine=named[0], precision=named[1])


def _near(ready: Encoder, header: Header, folder: Path) -> Encoder:
    """The model, if its features may lie beside those of the index; else WrongModel."""
    made, now = (engine_in(one) for one in (header.fingerprint, ready.fingerprint))
    if made != now:
        told = ["PyTorch" if one is None else f"{one[0]} in {one[1]}" for one in (made, now)]
        raise WrongModel(
            f"the features of {told[1]} are too far from those of {told[0]}, which made the index "
            f"{folder}: leave --engine and --precision out, or make another index"
        )
    return ready
