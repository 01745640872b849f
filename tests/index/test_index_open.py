"""An index is made and opened with its own model, and in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from index_material import ColourRetriever, new_index, write_films
from tempme.errors import BadIndex, BadSetting, WrongModel
from tempme.index import Index


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films")


@pytest.mark.slow
def test_a_model_that_has_changed_behind_its_name_is_said_to_have(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index(tmp_path)
    index.add(films)
    path = index.path / "index.json"
    changed = path.read_text().replace(index.header.fingerprint, "colours-before")
    for source, said in (("model", "is no longer what it was"), ("colours", "no longer the one")):
        path.write_text(changed.replace('"source": "model"', f'"source": "{source}"'))
        reader = Index.open(index.path)
        monkeypatch.setattr("tempme.index.model.load_model", lambda _: ColourRetriever())
        with pytest.raises(WrongModel, match=said) as caught:
            reader.search("red")
        assert "colours-before then" in str(caught.value)


@pytest.mark.slow
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
    with pytest.raises(BadIndex, match="not an index; make one with `tempme index"):
        Index.open(films)


def test_parts_without_a_header_are_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "videos.lance").mkdir()
    with pytest.raises(BadIndex, match=r"index\.json: it is missing; restore that file"):
        Index.open(tmp_path, create=True)


@pytest.mark.slow
def test_an_index_that_has_lost_its_header_is_told_from_a_folder_that_is_none(
    tmp_path: Path, films: Path
) -> None:
    index = new_index(tmp_path)
    index.add(films, workers=1)
    (index.path / "index.json").unlink()
    said = r"index\.json: it is missing; restore that file from a copy, or delete the index and"
    for create in (False, True, "no model of this name"):
        with pytest.raises(BadIndex, match=said):
            Index.open(index.path, create=create)
    with pytest.raises(BadIndex, match=said):
        Index.create(index.path, ColourRetriever())


def test_what_is_in_the_way_is_said_before_a_model_is_loaded(films: Path) -> None:
    with pytest.raises(BadIndex, match="other things in it"):
        Index.open(films, create="no model of this name")


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="overlap is 1"):
        Index.create(tmp_path / "a.tempme", ColourRetriever(), overlap=1)
    with pytest.raises(BadSetting, match="no paths given"):
        new_index(tmp_path).add([])
    for empty in ("", [""]):
        with pytest.raises(BadSetting, match="a path is empty"):
            new_index(tmp_path).add(empty)
        with pytest.raises(BadSetting, match="a path is empty"):
            new_index(tmp_path).forget(empty)
    with pytest.raises(BadSetting, match="under is an empty path"):
        new_index(tmp_path).search("red", under="")


def test_an_index_of_a_newer_format_says_what_to_do(tmp_path: Path) -> None:
    path = new_index(tmp_path).path / "index.json"
    newer = json.loads(path.read_text()) | {"format": 4, "written_by": "tempme 9.1\x1b[2J", "x": 1}
    path.write_text(json.dumps(newer))
    with pytest.raises(BadIndex) as caught:
        Index.open(path.parent)
    said = str(caught.value)
    assert "has format 4, written by tempme 9.1[2J; this is tempme " in said
    assert "upgrade it (`pip install --upgrade tempme`), or make another index" in said


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, "null", '{"format": "2"}', '{"format": 2}', '{"format": true}'],
)
def test_a_damaged_header_is_one_line(tmp_path: Path, content: str) -> None:
    path = new_index(tmp_path).path / "index.json"
    path.write_text(content)
    with pytest.raises(BadIndex, match=r"index\.json: .*; restore that file from a copy, or del"):
        Index.open(path.parent)


@pytest.mark.parametrize(("name", "value"), [("features", 10**9), ("frames", 0)])
def test_sizes_of_a_header_are_checked(tmp_path: Path, name: str, value: int) -> None:
    path = new_index(tmp_path).path / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(BadIndex, match=f"{name} is {value}; it is from 1 to"):
        Index.open(path.parent)


@pytest.mark.parametrize(
    "left", [".index.77.part.json", ".index.0af3.part.json", "model/.weights.9.part.safetensors"]
)
def test_what_a_killed_create_left_is_recognised_and_removed(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "films.tempme"
    (folder / left).parent.mkdir(parents=True)
    (folder / left).write_text("half")
    new_index(tmp_path)
    assert not (folder / left).exists()


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, films: Path) -> None:
    index = new_index(tmp_path)
    index.add(films, workers=1)
    left = [".scan.77.part.npz", "videos.lance/_versions/.tmp_9.manifest_1f", "model/.a.1.part"]
    for name in left:
        (index.path / name).write_text("half")
    index.add(films, workers=1)
    assert not [name for name in left if (index.path / name).exists()]


@pytest.mark.slow
def test_an_index_of_before_opens_by_the_name_its_model_had(tmp_path: Path, films: Path) -> None:
    index = new_index(tmp_path)
    index.add(films, workers=1)
    path = index.path / "index.json"
    fields = json.loads(path.read_text()) | {"format": 1, "fingerprint": "colours-as-it-was"}
    path.write_text(json.dumps(fields))
    model = ColourRetriever()
    model.legacy_fingerprint = "colours-as-it-was"
    assert len(Index.open(index.path, retriever=model).search("red")) == 3
    Index.open(index.path, retriever=model).add(films, workers=1)
    assert json.loads(path.read_text())["fingerprint"] == model.fingerprint
    assert len(Index.open(index.path, retriever=ColourRetriever()).search("red")) == 3
    path.write_text(json.dumps(fields | {"format": 2}))
    with pytest.raises(WrongModel):
        Index.open(index.path, retriever=model)


@pytest.mark.parametrize("way", ["True", "model"])
def test_open_makes_an_index_where_there_is_none(tmp_path: Path, way: str) -> None:
    mine, path = ColourRetriever("mine"), tmp_path / "a.tempme"
    how: dict[str, Any] = {"create": True, "retriever": mine} if way == "True" else {"create": mine}
    made = Index.open(path, **how, every_seconds=2.0)
    assert made.header.cutting.every_seconds == 2
    assert Index.open(path, **how).header == made.header
    with pytest.raises(WrongModel):
        Index.open(path, create=ColourRetriever("other"))
    with pytest.raises(BadSetting, match=r"every_seconds is 1\.0, but the index .* with 2\.0"):
        Index.open(path, **how, every_seconds=1.0)
    with pytest.raises(BadIndex):
        Index.open(tmp_path / "none.tempme")
