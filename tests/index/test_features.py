"""Features of videos in files of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from index_material import ColourRetriever, new_index, write_films
from tempme.errors import BadSetting
from tempme.index.building.report import Progress
from tempme.index.feature_files import feature_file, names_file
from tempme.index.features import Features, extract_features
from tempme.index.header import Cutting


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_films(tmp_path_factory.mktemp("films") / "films")
    Image.new("RGB", (90, 60), (30, 50, 220)).save(folder / "blue.png")
    return folder


@pytest.fixture(scope="module")
def found(films: Path) -> Features:
    return extract_features([films, films / "notes.txt"], ColourRetriever(), pictures=True)


@pytest.mark.slow
def test_they_are_those_of_an_index(found: Features, films: Path, tmp_path: Path) -> None:
    index = new_index(tmp_path)
    index.add(films, pictures=True)
    gallery = index._store.gallery()
    known = {
        (gallery.paths[owner][0], *span): feature
        for owner, span, feature in zip(
            gallery.owner, map(tuple, gallery.spans), gallery.features, strict=True
        )
    }
    assert len(found.paths) == len(known) == 5
    for path, span, feature in zip(found.paths, found.spans, found.features, strict=True):
        assert np.allclose(feature, known[path, *span], atol=2e-3)
    assert list(found.paths) == sorted(found.paths)
    assert found.fingerprint == ColourRetriever().fingerprint


def test_what_gave_nothing_is_named(found: Features, films: Path) -> None:
    assert [item.path for item in found.failures] == [films / "bad.mp4", films / "notes.txt"]
    assert all(item.reason for item in found.failures)
    assert np.allclose(np.linalg.norm(found.features, axis=1), 1, atol=1e-5)


def test_progress_counts_what_gave_features_and_what_did_not(tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (30, 50, 220)).save(tmp_path / "blue.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "blue.png").read_bytes()[:40])
    told: list[Progress] = []
    extract_features([tmp_path], ColourRetriever(), pictures=True, on_progress=told.append)
    assert [(one.done, one.new, one.failed) for one in told[:1]] == [(0, 0, 0)]
    assert (told[-1].total, told[-1].done, told[-1].new, told[-1].failed) == (2, 2, 1, 1)


def test_a_parquet_file_reads_as_a_table(found: Features, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "features.parquet"
    with feature_file(out) as write:
        write(found)
    table = pq.read_table(out)
    names = ["path", "start_seconds", "end_seconds", "fingerprint", "feature"]
    assert table.column_names == names
    assert table["path"].to_pylist() == [str(path) for path in found.paths]
    assert np.array_equal(np.stack(table["feature"].to_numpy()), found.features)
    assert np.array_equal(table["end_seconds"].to_numpy(), found.spans[:, 1])
    about = json.loads(table.schema.metadata[b"tempme"])
    assert about["fingerprint"] == table["fingerprint"][0].as_py() == found.fingerprint
    assert (about["frames"], about["every_seconds"], about["overlap"]) == (4, 1.0, 0.5)
    assert [Path(item["path"]).name for item in about["failures"]] == ["bad.mp4", "notes.txt"]


def test_an_npy_file_has_its_names_beside_it(found: Features, tmp_path: Path) -> None:
    out = tmp_path / "features.npy"
    for _ in range(2):  # its own files are replaced
        with feature_file(out) as write:
            write(found)
    assert np.array_equal(np.load(out), found.features)
    about = json.loads(names_file(out).read_text("utf-8"))
    assert [row["path"] for row in about["rows"]] == [str(path) for path in found.paths]
    assert [row["start_seconds"] for row in about["rows"]] == found.spans[:, 0].tolist()
    assert about["fingerprint"] == found.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.json", "features.npy"]


def test_a_name_that_is_not_utf8_is_written(found: Features, tmp_path: Path) -> None:
    named = Features(**{**vars(found), "paths": (Path("/films/\udcff.mp4"),) * len(found.paths)})
    for name in ("a.parquet", "a.npy"):
        with feature_file(tmp_path / name) as write:
            write(named)
    (spelt,) = set(pq.read_table(tmp_path / "a.parquet")["path"].to_pylist())
    assert spelt == "/films/\\udcff.mp4"


@pytest.mark.parametrize("name", ["features.parquet", "features.npy"])
def test_what_stood_there_stays_until_all_is_written(
    found: Features, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(KeyboardInterrupt), feature_file(tmp_path / name):
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "before")]
    with feature_file(tmp_path / name) as write:
        write(found)
    assert (tmp_path / name).read_bytes() != b"before"


def test_a_place_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text("{}")
    (tmp_path / "a.npy").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.parquet")
    os.mkfifo(tmp_path / "beside.json")
    (tmp_path / "device.npy").symlink_to(os.devnull)
    for name, told in {
        "pipe.parquet": "is not an ordinary file",
        "device.npy": "is not an ordinary file",
        "beside.npy": r"beside\.json would hold the names",
        "a.csv": r"ends in one of \.parquet, \.npy",
        "a.npy": "a folder; name a file",
        "names.npy": r"names\.json would hold the names",
        "file/a.parquet": "cannot write .*",
    }.items():
        with pytest.raises(BadSetting, match=told), feature_file(tmp_path / name):
            pytest.fail("the work has begun")


@pytest.mark.slow
def test_windows_are_as_asked_for(films: Path) -> None:
    cutting = Cutting(every_seconds=0.25, overlap=0.0)
    found = extract_features(films / "red.mp4", ColourRetriever(), cutting=cutting, workers=1)
    assert np.allclose(found.spans[:, 1] - found.spans[:, 0], 1.0, atol=0.3)
    assert len(found.paths) == 2
