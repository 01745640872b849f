"""Which system a new index of plain CLIP weights gets: one that merges where that says the same.

A few windows of the videos are encoded by the dense model and by one that merges, untrained. It is
taken where it is sure to share enough of the phrases nearest to a window; else the dense one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tempme.adapting.measuring import features_of
from tempme.adapting.models import ROW, merging_model, row_for
from tempme.adapting.windows import Decoding, sample_windows
from tempme.engines.choice import ANY_ENGINE, EngineChoice
from tempme.errors import BadSetting, BadVideo
from tempme.evaluation.agreement import Agreement, agreement
from tempme.index import Index, model
from tempme.index.building.encode import Encoder
from tempme.index.creating import begin_with_copy
from tempme.index.far import is_begun
from tempme.index.folder import check_new
from tempme.index.header import NAME, Cutting, Header, read_header
from tempme.index.judging import background_of
from tempme.index.model import MODEL_FOLDER
from tempme.retriever.checkpoint import system_of
from tempme.retriever.frugal import side_of
from tempme.retriever.names import is_saved
from tempme.retriever.retriever import Retriever
from tempme.systems.budget import share_of_dense, within_budget
from tempme.systems.system import System
from tempme.systems.table import system
from tempme.uris import is_remote, uri_of

DENSE = "clip4clip"
LIMIT = 0.9  # of the phrases nearest to a window, with 95 % confidence
WINDOWS, LEAST = 12, 6
OF_SAVED = (
    "{} is a saved retriever, whose system is its own: leave --system and --budget out, or give "
    "weights of a CLIP"
)


@dataclass(frozen=True)
class Wanted:
    """What a person asks of an index: of its model, and how videos are cut where it is new.

    model: what `tempme.load` takes; None is published CLIP. system, budget: None leaves the choice
    to what is measured. running: the engine that encodes.
    """

    model: str | None = None
    system: str | None = None
    budget: float | None = None
    cutting: Mapping[str, Any] = field(default_factory=dict)
    running: EngineChoice = ANY_ENGINE


@dataclass(frozen=True)
class OpenedIndex:
    """An index; `why` says in one line which system it got, empty where nothing was to choose."""

    index: Index
    why: str = ""


def open_index(
    folder: Path, paths: Iterable[Path], wanted: Wanted, *, decoding: Decoding | None = None
) -> OpenedIndex:
    """The index at `folder`, or a new one for the videos at and below `paths`.

    An index keeps its system. BadSetting where another one is asked for, or one of a model that
    has its own.
    """
    cutting = {"running": wanted.running, **wanted.cutting}
    if _is_there(folder):
        given = _of_far(folder, wanted) if is_remote(folder) else _of_index(folder, wanted)
        return OpenedIndex(Index.open(folder, retriever=given, **cutting))
    if (wanted.system, wanted.budget) != (None, None) and wanted.model and is_saved(wanted.model):
        raise BadSetting(OF_SAVED.format(wanted.model))
    if not is_remote(folder):
        check_new(folder)  # before a model is loaded, or even fetched
        if begin_with_copy(folder, wanted.model, cutting):
            return OpenedIndex(Index.open(folder, **cutting))
    source = wanted.model or model.DEFAULT_MODEL
    loaded = model.load_model(source) if wanted.model else model.load_default_model()
    kept = None if Path(source).expanduser().exists() else source
    if not isinstance(loaded, Retriever) or is_saved(source):
        return OpenedIndex(_made(folder, loaded, kept, cutting))
    chosen, why = _chosen(loaded, paths, wanted, decoding)
    kept = kept if chosen is loaded else None
    return OpenedIndex(_made(folder, chosen, kept, cutting), why)


def _is_there(folder: Path) -> bool:
    return is_begun(uri_of(folder)) if is_remote(folder) else (folder / NAME).exists()


def _made(folder: Path, retriever: Encoder, source: str | None, cutting: dict[str, Any]) -> Index:
    if is_remote(folder):
        return Index.open(folder, create=source or retriever, **cutting)
    made = Index.create(folder, retriever, source=source, **cutting)
    # A copy in the index is read in less memory than the model takes that is here.
    return made if source else Index.open(folder, **cutting)


def _chosen(
    dense: Retriever, paths: Iterable[Path], wanted: Wanted, decoding: Decoding | None
) -> tuple[Retriever, str]:
    """The model of a new index, and why it is this one."""
    if wanted.system == dense.system.name and wanted.budget is None:
        return dense, f"system: {dense.system.name}, as asked"
    if wanted.system is not None or wanted.budget is not None:
        row = row_for(dense, wanted.system, wanted.budget)
        return merging_model(
            dense, row, shared=True
        ), f"system: {_named(row)}, as asked; it is untrained"
    if dense.system.name != DENSE:  # weights that say themselves what they are
        return dense, ""
    row = row_for(dense, None, None)
    merging = merging_model(dense, row, shared=True)
    cutting = Cutting(**{"fit": "squash", **wanted.cutting})
    found = measured(dense, merging, paths, cutting=cutting, decoding=decoding)
    if found is None:
        return (
            dense,
            f"system: {DENSE} (dense); there are too few windows to tell what merging does",
        )
    told = f"{found.overlap} of the nearest phrases are the same in {found.num_windows} windows"
    if found.overlap.low >= LIMIT:
        return merging, f"system: {_named(row)}; {told}, sure to be {LIMIT} or more"
    return dense, (
        f"system: {DENSE} (dense); with {_named(row)} untrained {told}, not sure to be {LIMIT}: "
        f"`tempme adapt` teaches it"
    )


def measured(
    dense: Retriever,
    merging: Retriever,
    paths: Iterable[Path],
    *,
    cutting: Cutting,
    decoding: Decoding | None = None,
) -> Agreement | None:
    """How far both agree on a few windows of the videos; None where there are too few."""
    try:
        sample = sample_windows(paths, dense, most=WINDOWS, cutting=cutting, decoding=decoding)
    except BadVideo:  # the run that follows says it of every file
        return None
    if len(sample) < LEAST:
        return None
    one, other = (features_of(side_of(each, "vision"), sample.pixels) for each in (dense, merging))
    return agreement(one, other, background_of(side_of(dense, "text")), sample.video)


def _of_far(folder: Path, wanted: Wanted) -> str | None:
    if (wanted.system, wanted.budget) != (None, None):
        raise BadSetting(f"the index {folder} keeps its system: leave --system and --budget out")
    return wanted.model


def _of_index(folder: Path, wanted: Wanted) -> Encoder | str | None:
    """The model that has to be that of the index in `folder`, of the system that it has."""
    header = read_header(folder)
    _check_system(header, folder, wanted)
    source = wanted.model
    own = folder / MODEL_FOLDER
    if source is None or header.source != MODEL_FOLDER or is_saved(source):
        return source
    saved = system_of(own)
    loaded = model.load_model(source)
    if not isinstance(loaded, Retriever) or loaded.system.name == saved.name:
        return loaded
    row = row_for(loaded, saved.name, None)
    return merging_model(loaded, replace(row, compression=saved.compression), shared=True)


def _check_system(header: Header, folder: Path, wanted: Wanted) -> None:
    """BadSetting where a system or budget is asked for that is not that of the index."""
    own = header.fingerprint.rpartition("-")[0]
    asked = wanted.system or (ROW if wanted.budget is not None and own == DENSE else own)
    elsewhere = "leave --system and --budget out, or make another index"
    if asked != own:
        raise BadSetting(f"the index {folder} has the system {own}, not {asked}: {elsewhere}")
    if wanted.budget is None:
        return
    if header.source != MODEL_FOLDER:
        raise BadSetting(f"the index {folder} was made without a budget: {elsewhere}")
    saved = system_of(folder / MODEL_FOLDER)
    row = system(own, backbone=saved.backbone, frames=saved.frames, max_words=saved.max_words)
    if within_budget(row, wanted.budget).compression != saved.compression:
        raise BadSetting(
            f"the index {folder} was made at {share_of_dense(saved):.2f} of the dense "
            f"multiply-adds, not with a budget of {wanted.budget}: {elsewhere}"
        )


def _named(row: System) -> str:
    return f"{row.name} ({100 * share_of_dense(row):.0f} % of the dense multiply-adds)"
