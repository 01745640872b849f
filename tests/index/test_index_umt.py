"""An index made with a UMT works like any other; its match head looks again at the best hits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from index_material import new_index, write_films
from tempme.errors import BadSetting
from tempme.index import Hit, Index, reranking
from tempme.index.header import Cutting
from tempme.index.reranking import MatchedHit
from tempme.retriever.matching import match_scores, read_texts, watch
from tempme.video import Failure, Reading, load
from tempme.video.sampling import spread
from terminals import Terminal
from tiny_umt import tiny_umt

QUERY = "a red dog runs to the left"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("umt") / "films")


@pytest.fixture(
    scope="module", params=[pytest.param("umt", marks=pytest.mark.slow), "umt4clip-tempme"]
)
def index(
    request: pytest.FixtureRequest, films: Path, tmp_path_factory: pytest.TempPathFactory
) -> Index:
    path = tmp_path_factory.mktemp(request.param) / "films.tempme"
    made = Index.create(path, tiny_umt(request.param), every_seconds=0.25)
    report = made.add(films, workers=1)
    assert report.moments == made.num_moments() > 3
    return Index.open(path)  # with the model that it keeps


def test_a_match_is_written_to_four_places() -> None:
    hit = MatchedHit(Path("a.mp4"), 0.0, 1.0, 0.5, "0" * 16, match=-1.23456)
    assert hit.as_dict()["match"] == -1.2346


def test_the_model_is_in_the_index(index: Index) -> None:
    assert index.retriever.fingerprint == index.header.fingerprint
    assert index.status().num_moments == index.num_moments()


def test_hits_are_those_of_the_features(index: Index) -> None:
    hits = index.search(QUERY, 3)
    assert len(hits) == 3
    assert not any(isinstance(hit, MatchedHit) for hit in hits)
    words = index.retriever.encode_texts([QUERY]).numpy()[0]
    for hit in hits:
        moments = index.moments_of(hit.video_id)
        best = float((moments.features.astype(np.float32) @ words).max())
        assert hit.score == pytest.approx(best, abs=1e-3)
    assert index.similar(hits[0].path, 1)[0].path == hits[0].path
    assert "knows none" in "".join(index.notes_on("zebra zeppelin"))


def match_of(index: Index, hit: Hit) -> float:
    """What the match head of the model says of a moment, read and encoded by itself."""
    model = tiny_umt(index.header.fingerprint.rpartition("-")[0]).for_inference("fp32")
    reading = Reading(frames=12, size=model.image_size, every_seconds=0.25, fit="squash")
    read = load(hit.path, reading, seconds=spread(hit.start_seconds, hit.end_seconds, 12))
    assert not isinstance(read, Failure)
    tokens = watch(model, model.transform(read.pixels[None]))
    return float(match_scores(model, read_texts(model, [QUERY]), tokens)[0])


def test_the_best_are_looked_at_again(index: Index) -> None:
    before = index.search(QUERY, 10, moments=True)
    assert len(before) > 2
    after = index.search(QUERY, 10, moments=True, rerank=2)
    assert {hit.moment_id for hit in after} == {hit.moment_id for hit in before}
    again, others = after[:2], after[2:]
    assert {hit.moment_id for hit in again} == {hit.moment_id for hit in before[:2]}
    assert [hit.moment_id for hit in others] == [hit.moment_id for hit in before[2:]]
    matches = [hit.match for hit in again if isinstance(hit, MatchedHit)]
    assert matches == sorted(matches, reverse=True)
    assert len(matches) == 2
    assert matches == pytest.approx([match_of(index, hit) for hit in again], abs=1e-2)
    scores = {hit.moment_id: hit.score for hit in before}
    assert all(hit.score == scores[hit.moment_id] for hit in after)


def test_more_are_looked_at_than_are_wanted(index: Index) -> None:
    every = index.search(QUERY, 10, rerank=10)
    assert [hit.path for hit in index.search(QUERY, 1, rerank=10)] == [every[0].path]


@pytest.mark.slow
def test_a_model_without_a_match_head(tmp_path: Path, films: Path) -> None:
    made = new_index(tmp_path)
    made.add(films, workers=1)
    with pytest.raises(BadSetting, match=r"this model has no match head, .*: leave rerank out"):
        made.search("red", rerank=2)


def test_numbers_that_make_no_sense(index: Index) -> None:
    with pytest.raises(BadSetting, match="rerank is 0; look again at 1 or more"):
        index.search(QUERY, rerank=0)


def test_a_file_that_is_gone_is_told_where_people_hear_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hit = Hit(tmp_path / "gone.mp4", 0.0, 1.0, 0.5, "0" * 16)
    assert reranking._seen(tiny_umt("umt"), [hit], Cutting()) == []
    (record,) = caplog.records
    assert record.name == "tempme"
    assert f"{hit.path} could not be looked at again: no such file" in record.getMessage()


@pytest.mark.slow
def test_files_that_are_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture, films: Path) -> None:
    moved = tmp_path / "films"
    moved.mkdir()
    for film in ("red.mp4", "green blue.mp4"):
        (moved / film).write_bytes((films / film).read_bytes())
    made = Index.create(tmp_path / "films.tempme", tiny_umt("umt4clip"))
    made.add(moved, workers=1)
    best = made.search(QUERY, 2)[0]
    best.path.unlink()
    after = made.search(QUERY, 2, rerank=2)
    assert [isinstance(hit, MatchedHit) for hit in after] == [True, False]
    assert after[1].path == best.path
    assert f"{best.path} could not be looked at again" in caplog.text


@pytest.mark.slow
def test_a_copy_is_looked_at_where_the_first_file_is_gone(tmp_path: Path, films: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes((films / "red.mp4").read_bytes())
    made = Index.create(tmp_path / "films.tempme", tiny_umt("umt4clip"))
    made.add([tmp_path / "a.mp4", tmp_path / "b.mp4"], workers=1)
    (tmp_path / "a.mp4").unlink()
    (hit,) = made.search(QUERY, 1, rerank=1)
    assert isinstance(hit, MatchedHit)
    assert [path.name for path in hit.paths] == ["a.mp4", "b.mp4"]


def test_pictures_are_videos_in_which_nothing_moves(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (80, 60), (200, 30, 30)).save(tmp_path / "red.png")
    made = Index.create(tmp_path / "films.tempme", tiny_umt("umt"))
    made.add(tmp_path / "red.png", workers=1)
    (hit,) = made.search(QUERY, 5, rerank=5)
    assert isinstance(hit, MatchedHit)
    assert hit.start_seconds == hit.end_seconds == 0


def test_in_the_terminal(
    index: Index, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    search = Terminal(monkeypatch, capfd, "search")
    told = search(QUERY, "--index", str(index.path), "--rerank", "2")
    assert told.out.splitlines()[0].split() == [
        *("match", "score", "confidence", "from", "to", "path"),
    ]
    told = search(QUERY, "--index", str(index.path), "--rerank", "2", "--json")
    hits = json.loads(told.out)["hits"]
    assert ["match" in hit for hit in hits] == [True, True, False]


def test_words_are_read_as_in_training() -> None:
    model = tiny_umt("umt")
    words = read_texts(model, ["a red dog", "what colour is it"])
    long = read_texts(model, ["what colour is it"])
    torch.testing.assert_close(words.x_CND[1], long.x_CND[0], atol=1e-5, rtol=0)
