from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from index_material import ColourRetriever, write_video
from tempme.errors import BadSetting, BadVideo
from tempme.index import Hit, Index
from tempme.index.approximate import search_approximately
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.search import Asked, Request, Scan
from tempme.index.stores.lance import LanceStore

WIDTH = 8


def gallery_of(counts: list[int], seed: int = 0) -> Gallery:
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.concatenate([np.arange(n, dtype=np.float64) for n in counts])
    features = random.standard_normal((len(owner), WIDTH))
    return Gallery(
        contents=tuple(f"d{i}" for i in range(len(counts))),
        paths=tuple((Path(f"/films/{i % 3}/{i}.mp4"),) for i in range(len(counts))),
        owner=owner,
        spans=np.stack([starts, starts + 1], axis=1),
        features=(features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float16),
    )


def by_loop(gallery: Gallery, queries: np.ndarray) -> list[tuple[str, float, float]]:
    """Slow and plain: every video's mean over queries of its best moment, and where that is."""
    rows = gallery.features.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    answers = []
    for i, content in enumerate(gallery.contents):
        mine = [j for j, owner in enumerate(gallery.owner) if owner == i]
        scores = [[float(rows[j] @ query) for j in mine] for query in queries]
        best = mine[int(np.argmax(np.max(scores, axis=0)))]
        answers.append((content, float(np.mean(np.max(scores, axis=1))), gallery.spans[best, 0]))
    return sorted(answers, key=lambda answer: -answer[1])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 3), st.integers(0, 99))
def test_a_scan_equals_a_loop(counts: list[int], num_queries: int, seed: int) -> None:
    gallery = gallery_of(counts, seed)
    queries = np.random.default_rng(seed + 1).standard_normal((num_queries, WIDTH))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    hits = Scan(gallery).hits(queries, Request(k=len(counts) + 5))
    expected = by_loop(gallery, queries)
    assert [hit.video_id for hit in hits] == [content for content, _, _ in expected]
    assert [hit.start_seconds for hit in hits] == [start for _, _, start in expected]
    assert np.allclose([hit.score for hit in hits], [score for _, score, _ in expected], atol=1e-5)


def test_several_searches_at_once_give_what_each_gives() -> None:
    gallery = gallery_of([3] * 20)
    rows = gallery.features[[0, 7, 31]].astype(np.float32)
    asked = [
        Asked(rows[:1], Request(k=4)),
        Asked(rows[1:], Request(k=4)),  # of a video, say
        Asked(rows[2:], Request(k=4, moments=True, under=Path("/films/1"))),
    ]
    found = Scan(gallery).hits_of_all(asked)
    for one, hits in zip(asked, found, strict=True):
        expected = Scan(gallery).hits(one.queries, one.request)
        assert [hit.moment_id for hit in hits] == [hit.moment_id for hit in expected]
        assert np.allclose([h.score for h in hits], [h.score for h in expected], atol=1e-6)


def test_filters_are_exact() -> None:
    gallery = gallery_of([2] * 30)
    query = gallery.features[:1].astype(np.float32)
    scan = Scan(gallery)
    every = scan.hits(query, Request(k=30))
    below = scan.hits(query, Request(k=30, under=Path("/films/1")))
    assert below == [hit for hit in every if hit.path.parent.name == "1"]
    assert len(below) == 10
    strict = scan.hits(query, Request(k=30, min_score=0.3))
    assert strict == [hit for hit in every if hit.score >= 0.3]
    assert 1 <= len(strict) < 30


def test_a_large_store_answers_like_a_scan(tmp_path: Path) -> None:
    folder = tmp_path / "large.tempme"
    folder.mkdir()
    store = LanceStore(folder, features=WIDTH, index_from=500)
    gallery = gallery_of([3] * 200)
    rows = [
        Video(paths[0], digest, 1, 1, num_moments=3)
        for paths, digest in zip(gallery.paths, gallery.contents, strict=True)
    ]
    contents = [
        Moments(digest, gallery.spans[3 * i : 3 * i + 3], gallery.features[3 * i : 3 * i + 3])
        for i, digest in enumerate(gallery.contents)
    ]
    store.put(rows, contents)
    store.tidy()
    assert store.is_large()
    query = gallery.features[100:101].astype(np.float32)
    for request in (Request(k=5), Request(k=5, under=Path("/films/2")), Request(k=3, moments=True)):
        assert search_approximately(store, query, request) == Scan(gallery).hits(query, request)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / "red.mp4", ["red"])
    write_video(folder / "red then blue.mp4", ["red", "blue"], seconds=6)
    write_video(folder / "green.mp4", ["green"])
    return folder


@pytest.fixture(scope="module")
def index(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    made = Index.create(tmp_path_factory.mktemp("index") / "a.tempme", ColourRetriever())
    made.add(films)
    return made


def test_a_moment_is_found_where_it_is(index: Index, films: Path) -> None:
    hit = index.search("something blue", k=1)[0]
    assert hit.path == films / "red then blue.mp4"
    assert 5 <= hit.start_seconds < hit.end_seconds
    assert hit.end_seconds == pytest.approx(12, abs=1)
    assert hit.score > 0.95


def test_fewer_hits_than_asked_for_are_all(index: Index) -> None:
    assert len(index.search("red", k=1000)) == 3
    assert 3 <= len(index.search("red", k=1000, moments=True)) <= index.status().num_moments


def test_a_hit_has_the_same_names_in_json(index: Index) -> None:
    hit = index.search("red", k=1)[0]
    assert {*hit.as_dict()} == {*Hit.__dataclass_fields__, "moment_id"}
    assert hit.moment_id == f"{hit.video_id}-0-{round(1000 * hit.end_seconds)}"
    assert json.loads(json.dumps(hit.as_dict()))["path"] == str(hit.path)


def test_similar_takes_videos_and_pictures(index: Index, films: Path, tmp_path: Path) -> None:
    copy = write_video(tmp_path / "copy.mkv", ["red", "blue"], seconds=5)
    assert index.similar(copy, k=1)[0].path == films / "red then blue.mp4"
    Image.new("RGB", (90, 50), (30, 180, 40)).save(tmp_path / "green.png")
    assert index.similar(tmp_path / "green.png", k=1)[0].path == films / "green.mp4"
    (tmp_path / "notes.txt").write_text("green")
    with pytest.raises(BadVideo, match=r"notes\.txt is not a video"):
        index.similar(tmp_path / "notes.txt")
    with pytest.raises(BadVideo, match="no such file"):
        index.similar(tmp_path / "nowhere.mp4")


def test_questions_that_cannot_be_answered(index: Index) -> None:
    with pytest.raises(BadSetting, match="the query is empty"):
        index.search("  ")
    with pytest.raises(BadSetting, match="k is 0"):
        index.search("red", k=0)
    with pytest.raises(BadSetting, match="min_score is nan"):
        index.search("red", min_score=float("nan"))


class SilentRetriever(ColourRetriever):
    def encode_texts(self, texts: list[str]) -> Tensor:
        return super().encode_texts(texts) * float("nan")


def test_a_query_feature_that_is_no_number_is_said(index: Index) -> None:
    with pytest.raises(BadSetting, match="no usable feature"):
        Index.open(index.path, retriever=SilentRetriever()).search("red")


def test_an_empty_index_has_no_hits(tmp_path: Path) -> None:
    empty = Index.create(tmp_path / "a.tempme", ColourRetriever())
    assert empty.search("red") == []
    assert empty.num_moments() == 0
    assert empty.status().num_videos == 0
    (tmp_path / "films").mkdir()
    assert empty.add(tmp_path / "films").moments == 0
    assert empty.search("red") == []


@pytest.mark.slow
def test_an_open_index_sees_what_another_run_adds(tmp_path: Path, films: Path) -> None:
    reader = Index.create(tmp_path / "a.tempme", ColourRetriever())
    assert reader.search("red") == []
    Index.open(reader.path, retriever=ColourRetriever()).add(films / "red.mp4")
    assert [hit.path.name for hit in reader.search("red")] == ["red.mp4"]
