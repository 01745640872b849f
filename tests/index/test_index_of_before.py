"""An index and a saved retriever that an earlier version wrote open, answer as then, and go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import tempme
from fault_files import FAULTS
from index_material import write_video
from tempme.index import Index

OLD = Path(__file__).parent.parent / "old"
KNOWN = json.loads((OLD / "known.json").read_text("utf-8"))
INDEXES = ("by-name", "own-model")
FILMS = {"sdr1.mp4", "wide_centre.mp4", "preview_first.mp4", "half_faststart.mp4"}


def opened(tmp_path: Path, name: str) -> Index:
    """A copy of the index as it was left, with its model where it has one."""
    folder = tmp_path / name
    shutil.copytree(OLD / name, folder)
    if name == "own-model":
        shutil.copytree(OLD / "retriever", folder / "model")
    return Index.open(folder)


def check_answers(index: Index, name: str) -> None:
    for query, hits in KNOWN[name].items():
        found = {hit.path.name: hit for hit in index.search(query)}
        for film, start, end, score in hits:
            hit = found[film]
            assert (hit.start_seconds, hit.end_seconds) == (start, end)
            assert hit.score == pytest.approx(score, abs=1e-4)


def test_a_saved_retriever_of_before_gives_the_same_features() -> None:
    retriever = tempme.load(str(OLD / "retriever"))
    assert KNOWN["fingerprint"] in retriever.fingerprints
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 64, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        texts = retriever.encode_texts(list(KNOWN["own-model"]))
        videos = retriever.encode_videos(torch.stack([retriever.transform(one) for one in pixels]))
    torch.testing.assert_close(texts, torch.tensor(KNOWN["texts"]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(videos, torch.tensor(KNOWN["videos"]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_before_is_searched_without_being_changed(tmp_path: Path, name: str) -> None:
    index = opened(tmp_path, name)
    before = {path: path.read_bytes() for path in index.path.glob("*.lance/**/*.*")}
    before[index.path / "index.json"] = (index.path / "index.json").read_bytes()
    check_answers(index, name)
    assert all(len(index.search(query)) == len(hits) for query, hits in KNOWN[name].items())
    status = index.status()
    assert (status.num_videos, status.num_failed) == (4, 1)
    assert not index.check()
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("by-name", marks=pytest.mark.slow), pytest.param("own-model")]
)
def test_an_index_of_before_is_added_to_and_upgraded(tmp_path: Path, name: str) -> None:
    index = opened(tmp_path, name)
    films = tmp_path / "films"
    films.mkdir()
    for film in FILMS:
        shutil.copy(FAULTS / film, films / film)
    write_video(films / "new.mp4", ["red", "blue"])
    report = index.add(films, workers=1)
    assert (report.videos.indexed, report.videos.failed) == (5, 0)
    # The known films were not read again: what the index has of them is what it had.
    assert report.moments == 6
    upgraded = Index.open(index.path)
    assert json.loads((index.path / "index.json").read_text())["format"] == 2
    assert upgraded.header.cutting.fit == "crop"
    check_answers(upgraded, name)
    assert not upgraded.check()
    ok = [video for video in upgraded.videos() if video.status == "ok"]
    assert len(ok) == 9
    assert all(video.checksum for video in ok)
