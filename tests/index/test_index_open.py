"""An index is made and opened with its own model, and in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from index_material import ColourRetriever, new_index, write_films
from tempme.errors import BadIndex, BadSetting, WrongModel
from tempme.index import Index


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films")


def test_a_model_that_has_changed_behind_its_name_is_said_to_have(
    tmp_path: Path, films: Path
) -> None:
    index = new_index(tmp_path)
    index.add(films)
    path = index.path / "index.json"
    path.write_text(path.read_text().replace(index.header.fingerprint, "colours-before"))
    reader = Index.open(index.path)
    reader._load = ColourRetriever  # type: ignore[method-assign]
    with pytest.raises(WrongModel, match="no longer the one that made") as caught:
        reader.search("red")
    assert "colours-before then" in str(caught.value)


def test_another_model_is_refused_by_name(tmp_path: Path, films: Path) -> None:
    mine, other = ColourRetriever("mine"), ColourRetriever("other")
    Index.create(tmp_path / "a.tempme", mine).add(films)
    for attempt in (Index.create, Index.open):
        with pytest.raises(WrongModel) as caught:
            attempt(tmp_path / "a.tempme", retriever=other)
        assert mine.fingerprint in str(caught.value)
        assert other.fingerprint in str(caught.value)


def test_an_index_is_not_made_among_other_files(films: Path) -> None:
    with pytest.raises(BadIndex, match="other things in it"):
        Index.create(films, ColourRetriever())
    with pytest.raises(BadIndex, match=r"cannot make the index .*: file exists"):
        Index.create(films / "red.mp4", ColourRetriever())
    with pytest.raises(BadIndex, match="no index; make one with `tempme index"):
        Index.open(films)


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="overlap is 1"):
        Index.create(tmp_path / "a.tempme", ColourRetriever(), overlap=1)
    with pytest.raises(BadSetting, match="no paths given"):
        new_index(tmp_path).add([])
