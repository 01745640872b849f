"""Confidence: chances are those of a background, on distributions that are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index_material import ColourRetriever, new_index, write_films, write_video
from tempme.index import Index
from tempme.index.confidence import (
    LEVELS,
    Judge,
    at_least,
    judge_visuals,
    level_of,
    phrase_lists,
    spread_over,
)
from tempme.index.judging import NAME
from tempme.index.moments import Gallery
from tempme.index.tail import LEAST, Tail

WIDTH = 48


def units(count: int, seed: int, *, towards: np.ndarray | None = None) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    drawn = drawn if towards is None else drawn + towards
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("num_moments", [5, 300])
def test_queries_without_a_match_get_each_level_as_often_as_said(num_moments: int) -> None:
    lean = 4 * units(1, 9)  # everything of one modality points a little to one side
    moments = units(num_moments, 1, towards=lean)
    judge = Judge.of(units(1000, 2, towards=-lean), moments, own=None)
    best = []
    for query in units(4000, 3, towards=-lean):
        best.append(judge.chances(moments @ query, moments).min())
    for most in LEVELS.values():
        share = np.mean(np.array(best) <= most)
        assert share == pytest.approx(most, abs=0.5 * most if most < 0.1 else 0.05)


def test_a_moment_that_every_query_is_near_to_is_no_evidence() -> None:
    background = units(500, 1)
    centre = background.mean(axis=0)
    hub = centre / np.linalg.norm(centre)
    moments = np.concatenate([units(50, 2), hub[None]])
    judge = Judge.of(background, moments, own=None)
    plain, near_hub = judge.chances(np.float32([0.5, 0.5]), moments[[0, 50]])
    assert plain < 0.05
    assert judge.chances(np.float32([1.0]), hub[None])[0] <= near_hub


def test_a_sample_of_the_moments_stands_for_all_of_them() -> None:
    moments, background = units(4000, 1), units(800, 2)
    whole = Judge.of(background, moments, own=None)
    part = Judge.of(background, moments[::4], own=None, size=4.0)
    scores = np.linspace(0.4, 0.7, 13).astype(np.float32)
    asked = moments[:13]
    assert np.allclose(whole.chances(scores, asked), part.chances(scores, asked), atol=0.1)


def test_chances_fall_with_the_score_and_levels_follow() -> None:
    moments = units(30, 1)
    judge = Judge.of(units(999, 2), moments, own=None)
    chances = judge.chances(np.linspace(-1, 1, 50).astype(np.float32), moments[[3] * 50])
    assert (np.diff(chances) <= 0).all()
    assert chances[0] == 1
    assert chances[-1] == pytest.approx(LEAST / 1000)
    assert [level_of(p) for p in (0.005, 0.01, 0.03, 0.2, 0.21)] == [
        "high",
        "high",
        "medium",
        "low",
        "none",
    ]
    assert at_least("medium") == {"high", "medium"}


def test_pictures_are_held_against_moments_of_other_videos() -> None:
    of_contents = np.repeat(units(40, 5), 5, axis=0)
    features = of_contents + 0.02 * units(200, 6)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    gallery = Gallery(
        contents=tuple(map(str, range(40))),
        paths=tuple((Path(str(i)),) for i in range(40)),
        owner=np.repeat(np.arange(40), 5),
        spans=np.zeros((200, 2)),
        features=features.astype(np.float16),
    )
    judge = judge_visuals(gallery, num_moments=200)
    assert judge.maxima.max() < judge.chances(np.float32([1]), features[:1]) + 20
    assert (judge.size, judge_visuals(gallery, num_moments=500).size) == (1.0, 2.5)
    assert judge.levels(np.float32([0.999, 0.1]), features[[0, 60]]) == ["high", "none"]


def test_a_sample_is_spread_over_all_of_it() -> None:
    assert spread_over(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert spread_over(9, 3).tolist() == [0, 4, 8]
    assert spread_over(1, 3).tolist() == [0]
    assert spread_over(0, 3).tolist() == []


@pytest.mark.slow
def test_hits_say_how_sure_they_are(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    index.add(write_films(tmp_path / "films"))
    hits = index.search("green blue yellow white", k=10, moments=True)
    judge = index.judge("text")
    features = np.concatenate([index.moments_of(hit.video_id).features for hit in hits[:1]])
    best = judge.levels(np.float32([hits[0].score]), features[:1].astype(np.float32))
    assert hits[0].confidence == best[0]
    assert [LEVELS[hit.confidence] for hit in hits] == sorted(LEVELS[h.confidence] for h in hits)
    assert hits[0].as_dict()["confidence"] == hits[0].confidence
    assert hits[-1].confidence == "none"


@pytest.mark.slow
def test_an_index_without_a_background_gets_one(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    index.add(write_films(tmp_path / "films"))
    expected = index.search("red")
    kept = index.path / NAME
    for damage in (b"", b"PK\x03\x04", kept.read_bytes()[:200]):
        kept.write_bytes(damage)
        assert Index.open(index.path, retriever=ColourRetriever()).search("red") == expected
    kept.unlink()
    assert Index.open(index.path, retriever=ColourRetriever()).search("red") == expected
    assert kept.exists()


@pytest.mark.slow
def test_a_background_follows_an_index_that_grows(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    write_video(tmp_path / "red.mp4", ["red"])
    index.add(tmp_path / "red.mp4")
    before = (index.path / NAME).read_bytes()
    index.add(write_films(tmp_path / "films"))
    assert (index.path / NAME).read_bytes() != before


@pytest.mark.slow
def test_confidence_knows_nothing_of_how_an_index_came_to_be(tmp_path: Path) -> None:
    films = write_films(tmp_path / "films")
    step_by_step = new_index(tmp_path)
    for part in sorted(films.iterdir()):
        step_by_step.add(part)
        step_by_step.search("green", k=50, moments=True)
    at_once = Index.create(tmp_path / "once.tempme", ColourRetriever())
    at_once.add(films)
    for query in ("red", "green blue", "white"):
        hits = step_by_step.search(query, k=50, moments=True)
        assert hits == at_once.search(query, k=50, moments=True)


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_end_leaves_no_old_background(tmp_path: Path) -> None:
    index = new_index(tmp_path)
    films = write_films(tmp_path / "films")
    for colour in ("red", "green", "blue", "white"):
        write_video(films / f"more {colour}.mp4", [colour, "yellow", colour], seconds=4)
    index.add(films)
    fresh = (index.path / NAME).read_bytes()
    write_video(films / "last.mp4", ["red", "white"], seconds=3)
    index.add(films)
    grown = index.judge("text")
    (index.path / NAME).write_bytes(fresh)  # of fewer moments, by less than a search minds
    again = Index.open(index.path, retriever=ColourRetriever())
    assert again.judge("text").spread != grown.spread
    again.add(films)
    assert again.judge("text").spread == grown.spread
    assert np.array_equal(again.judge("text").maxima, grown.maxima)


def test_a_tie_is_a_tie_however_it_is_rounded() -> None:
    background, moments = units(200, 1), units(20, 2)
    judge = Judge.of(background, moments, own=None)
    best = background @ moments.T
    for scores in best:
        exact = judge.chances(scores, moments)
        for step in (-1e-4, 1e-4):
            assert judge.chances(scores + np.float32(step), moments).min() <= exact.min() + 0.02


def test_the_background_itself_has_the_chances_of_its_ranks() -> None:
    background, moments = units(400, 1), units(100, 2)
    judge = Judge.of(background, moments, own=None)
    own = np.sort([judge.chances(moments @ query, moments).min() for query in background])
    assert np.abs(own - np.arange(1, 401) / 401).max() < 0.05


def test_a_query_is_no_rarer_for_not_being_of_the_background() -> None:
    shares = []
    for seed in range(0, 32, 4):
        moments, background = units(800, seed), units(150, seed + 1)
        judge = Judge.of(background, moments, own=None)
        best = [judge.chances(moments @ q, moments).min() for q in units(600, seed + 2)]
        shares.append(np.mean(np.array(best) <= 0.05))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_a_tail_is_found_again(shape: float) -> None:
    uniform = np.random.default_rng(3).uniform(size=1000)
    drawn = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
    tail = Tail.of(np.sort(drawn).astype(np.float32))
    for chance in (0.1, 0.03, 0.01, 0.003):
        at = -np.log(chance) if shape == 0 else (chance**-shape - 1) / shape
        assert tail.chances(np.float32([at]))[0] == pytest.approx(chance, rel=0.4)


def test_small_or_even_samples_are_counted() -> None:
    assert Tail.of(np.float32([1, 2, 3])).chances(np.float32([0, 2.5, 4])).tolist() == [
        1,
        0.5,
        0.25,
    ]
    even = Tail.of(np.ones(400, np.float32))
    assert even.chances(np.float32([1, 2])).tolist() == [1, 1 / 401]


def test_the_phrases_are_those_that_the_tool_writes() -> None:
    import background_phrases

    general, of_scenes = phrase_lists()
    assert general == tuple(background_phrases.general(0))
    assert of_scenes == tuple(background_phrases.of_scenes(0))
