"""Hits: equal content once, moments that are distinct, and folders that are there."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_material import ColourRetriever, new_index, write_video
from tempme.errors import BadSetting
from tempme.index import Hit, Index
from tempme.index.approximate import search_approximately
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.search import Request, Scan
from tempme.index.stores.lance import LanceStore

WINDOW, STEP = 4.0, 2.0


def gallery_with(scores: dict[str, list[float]]) -> tuple[Gallery, np.ndarray]:
    """Videos whose windows, overlapping by half, have these scores for the query given back."""
    flat = np.array([score for each in scores.values() for score in each], dtype=np.float64)
    starts = np.concatenate([np.arange(len(each)) * STEP for each in scores.values()])
    features = np.stack([flat, np.sqrt(1 - flat**2)], axis=1)
    gallery = Gallery(
        contents=tuple(scores),
        paths=tuple((Path(f"/films/{name}.mp4"),) for name in scores),
        owner=np.repeat(np.arange(len(scores)), [len(each) for each in scores.values()]),
        spans=np.stack([starts, starts + WINDOW], axis=1),
        features=features.astype(np.float16),
    )
    return gallery, np.array([[1.0, 0.0]], dtype=np.float32)


def spans_of(hits: list[Hit]) -> list[tuple[str, float, float]]:
    return [(hit.video_id, hit.start_seconds, hit.end_seconds) for hit in hits]


def test_windows_that_show_the_same_are_one_moment() -> None:
    gallery, query = gallery_with({"a": [0.1, 0.1, 0.8, 0.9, 0.85, 0.1, 0.1, 0.1, 0.7, 0.1]})
    first, second, *rest = Scan(gallery).hits(query, Request(k=9, moments=True))
    assert spans_of([first, second]) == [("a", 4, 12), ("a", 16, 20)]
    assert first.score == pytest.approx(0.9, abs=1e-3)
    assert all(hit.score < 0.2 for hit in rest)


def test_a_still_video_is_one_moment() -> None:
    noise = np.random.default_rng(0).uniform(-0.008, 0.008, 60)
    gallery, query = gallery_with({"still": list(0.3 + noise), "other": [0.1]})
    hits = Scan(gallery).hits(query, Request(k=5, moments=True))
    assert spans_of(hits) == [("still", 0, 122), ("other", 0, 4)]


def test_k_moments_are_k_places() -> None:
    busy = [0.1, 0.9, 0.1, 0.1] * 6
    gallery, query = gallery_with({"a": busy, "b": busy})
    hits = Scan(gallery).hits(query, Request(k=8, moments=True))
    assert len(hits) == 8
    assert {hit.video_id for hit in hits} == {"a", "b"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=12), min_size=1, max_size=4))
def test_moments_neither_overlap_nor_touch_and_the_best_is_kept(scores: list[list[float]]) -> None:
    gallery, query = gallery_with({f"v{i}": each for i, each in enumerate(scores)})
    hits = Scan(gallery).hits(query, Request(k=100, moments=True))
    assert {hit.video_id for hit in hits} == set(gallery.contents)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].score == pytest.approx(max(max(each) for each in scores), abs=2e-3)
    for content in gallery.contents:
        mine = sorted(spans_of([hit for hit in hits if hit.video_id == content]))
        assert all(before[2] < after[1] for before, after in pairwise(mine))


@pytest.mark.slow
def test_a_short_look_at_a_large_store_is_not_a_short_answer(tmp_path: Path) -> None:
    """One long video has all of the nearest moments; the other hits are further away."""
    folder = tmp_path / "large.tempme"
    folder.mkdir()
    gallery, query = gallery_with(
        {"long": [0.9] * 600, **{f"v{i:02}": [0.5 - i / 100] for i in range(40)}}
    )
    store = LanceStore(folder, features=2, index_from=500)
    for i, digest in enumerate(gallery.contents):
        mine = gallery.owner == i
        moments = Moments(digest, gallery.spans[mine], gallery.features[mine])
        row = Video(gallery.paths[i][0], digest, 1, 1, num_moments=int(mine.sum()))
        store.put([row], [moments])
    store.tidy()
    assert store.is_large()
    for request in (Request(k=6), Request(k=6, moments=True), Request(k=30, min_score=0.35)):
        hits = search_approximately(store, query, request)
        assert hits == Scan(gallery).hits(query, request)
        assert len(hits) >= 6


@pytest.mark.slow
def test_copies_count_once_against_k(tmp_path: Path) -> None:
    films = tmp_path / "films"
    (films / "copies").mkdir(parents=True)
    write_video(films / "red.mp4", ["red"])
    for i in range(5):
        shutil.copy(films / "red.mp4", films / "copies" / f"{i}.mp4")
    write_video(films / "other red.mp4", ["red", "red"])
    index = new_index(tmp_path)
    index.add(films)
    for moments in (False, True):
        hits = index.search("red", k=2, moments=moments)
        assert len(hits) == 2
        assert {len(hit.paths) for hit in hits} == {1, 6}
    (below,) = index.search("red", k=9, under=films / "copies")
    assert below.paths == tuple(films / "copies" / f"{i}.mp4" for i in range(5))
    assert below.as_dict()["paths"] == [str(path) for path in below.paths]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "red blue red.mp4", ["red", "blue", "red"], seconds=16)
    index = new_index(tmp_path)
    index.add(films)
    return index


def test_a_colour_that_comes_twice_is_two_moments(index: Index) -> None:
    first, second, *rest = index.search("red", k=9, moments=True)
    early, late = sorted([first, second], key=lambda hit: hit.start_seconds)
    assert early.start_seconds == 0
    assert early.end_seconds == pytest.approx(16, abs=3)
    assert (late.start_seconds, late.end_seconds) == pytest.approx((32, 48), abs=3)
    assert all(hit.score < 0.7 for hit in rest)


def test_under_a_folder_that_is_not_there(index: Index, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"no such folder: .*nowhere"):
        index.search("red", under=tmp_path / "nowhere")
    with pytest.raises(BadSetting, match="no such folder"):
        index.similar(tmp_path / "films" / "red blue red.mp4", under=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert index.search("red", under=tmp_path / "empty") == []
    (tmp_path / "films").rename(tmp_path / "away")  # as a disk that is not mounted
    assert len(index.search("red", under=tmp_path / "films")) == 1


def test_what_a_model_cannot_know_of_a_query(index: Index) -> None:
    assert index.notes_on("red") == ()
    assert index.notes_on("hippopotamus") == ("no colour is named",)
    assert Index.create(index.path.with_name("b.tempme"), ColourRetriever()).notes_on("x") == ()
