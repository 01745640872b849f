"""A new index of a saved retriever: its files are copied, and only its text side is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tempme
from tempme.engines.choice import EngineChoice
from tempme.errors import TempmeError
from tempme.index import Index
from tempme.index.creating import begin_with_copy
from tempme.index.model import MODEL_FOLDER
from tempme.index.words import NAME as WORDS
from tempme.retriever import copied
from tempme.retriever.copied import text_side
from tempme.retriever.names import SYSTEM, TOKENIZER, WEIGHTS
from tempme.retriever.retriever import Retriever

FILES = (SYSTEM, TOKENIZER, WEIGHTS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tempme.load("scenes-tiny").save(tmp_path_factory.mktemp("models") / "tiny")


def test_the_copy_is_that_which_a_loaded_model_would_leave(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Index.create(tmp_path / "a", Retriever.load(saved))

    def never(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("tempme.index.index.model_to_begin", never)
    made = Index.open(tmp_path / "b", create=str(saved))
    assert made.header == loaded.header
    for name in FILES:
        one, other = (index.path / MODEL_FOLDER / name for index in (loaded, made))
        assert one.read_bytes() == other.read_bytes()
    words = [(index.path / WORDS).read_bytes() for index in (loaded, made)]
    assert words[0] == words[1]
    assert made.retriever.fingerprint == loaded.retriever.fingerprint


def test_what_changes_in_the_folder_later_leaves_the_index_alone(tmp_path: Path) -> None:
    folder = tempme.load("scenes-tiny").save(tmp_path / "model")
    made = Index.open(tmp_path / "a", create=str(folder))
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(b"changed in place")
    again = Index.open(made.path)
    assert again.retriever.fingerprint == made.header.fingerprint


def test_of_the_model_the_text_side_alone_is_read(saved: Path) -> None:
    """No weight of the vision tower is put into a model, and the fingerprint is of all of them."""
    whole = Retriever.load(saved)
    text = text_side(saved)
    assert text is not None
    assert text.fingerprints == whole.fingerprints
    own, wanted = text.backbone.state_dict(), whole.backbone.state_dict()
    same = {name for name in wanted if torch.equal(own[name], wanted[name])}
    assert {name for name in wanted if not name.startswith("vision.")} <= same
    projections = [name for name in wanted if name.startswith("vision.") and wanted[name].dim() > 1]
    assert projections
    assert same.isdisjoint(projections)


def test_what_cannot_be_copied_is_loaded_and_says_why(saved: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in FILES:
        (broken / name).write_bytes((saved / name).read_bytes())
    with (broken / WEIGHTS).open("r+b") as file:
        file.truncate(1000)
    assert not begin_with_copy(tmp_path / "a", str(broken), {})
    with pytest.raises(TempmeError, match="broken"):
        Index.open(tmp_path / "a", create=str(broken))
    assert not (tmp_path / "a").exists()
    assert not begin_with_copy(tmp_path / "b", "scenes-tiny", {})
    assert not begin_with_copy(tmp_path / "b", Retriever.load(saved), {})
    assert not begin_with_copy(tmp_path / "b", str(saved), {"running": EngineChoice("onnx")})
    assert not (tmp_path / "b").exists()


def test_a_full_disk_is_told_with_the_index(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copied.shutil, "copyfile", full)
    with pytest.raises(TempmeError, match=r"cannot write the index .*No space left"):
        Index.open(tmp_path / "a", create=str(saved))
