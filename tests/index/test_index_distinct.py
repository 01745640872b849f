"""Moments that repeat the one before: kept out where asked for, told of, and still found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index_material import ColourRetriever, write_video
from tempme.errors import BadSetting
from tempme.index import Index
from tempme.index.building.distinct import without_repeats
from tempme.index.header import Cutting


def turned(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float16)


def test_repeats_go_and_the_one_that_stays_grows() -> None:
    spans = np.array([(0, 2), (1, 3), (2, 4), (3, 5), (4, 6)], float)
    kept, features = without_repeats(spans, turned(0, 1, 60, 61, 0), 0.01)
    assert kept.tolist() == [[0, 3], [2, 5], [4, 6]]
    assert np.array_equal(features, turned(0, 60, 0))
    assert spans[0].tolist() == [0, 2]  # what was given stays as it was


def test_a_slow_change_is_not_lost_step_by_step() -> None:
    degrees = np.arange(0, 90, 3.0)
    spans = np.stack([np.arange(30.0), np.arange(30.0) + 2], axis=1)
    epsilon = 1 - np.cos(np.radians(10))
    kept, features = without_repeats(spans, turned(*degrees), epsilon)
    assert 6 <= len(kept) <= 8
    for start, feature in zip(spans[:, 0], turned(*degrees), strict=True):
        stands = max(i for i, span in enumerate(kept) if span[0] <= start)
        assert 1 - features[stands].astype(float) @ feature.astype(float) < epsilon + 2e-3
        assert kept[stands, 1] >= start + 2


def test_moments_apart_in_time_or_with_no_epsilon_all_stay() -> None:
    spans = np.array([(0, 2), (5, 7)], float)  # nothing says what is between
    assert len(without_repeats(spans, turned(0, 0), 0.5)[0]) == 2
    near = np.array([(0, 2), (1, 3)], float)
    assert len(without_repeats(near, turned(0, 0), 0.0)[0]) == 2
    assert len(without_repeats(near[:0], turned(), 0.5)[0]) == 0


@pytest.mark.slow
def test_an_index_keeps_distinct_moments(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "long.mp4", ["red", "blue"], seconds=20)
    write_video(films / "short.mp4", ["green"])
    model = ColourRetriever()
    whole, few = (
        Index.create(tmp_path / name, model, every_seconds=0.5, distinct=epsilon)
        for name, epsilon in (("whole", 0.0), ("few", 0.02))
    )
    reports = [index.add(films, workers=1) for index in (whole, few)]
    assert reports[0].repeats == 0
    assert reports[1].repeats == reports[0].moments - reports[1].moments > 20
    assert reports[1].as_dict()["repeats"] == reports[1].repeats
    for colour in ("red", "blue", "green"):
        best, same = whole.search(colour, 1)[0], few.search(colour, 1)[0]
        assert best.path == same.path
        assert same.score > best.score - 0.02
        assert same.start_seconds <= best.start_seconds
        assert same.end_seconds >= best.end_seconds
    assert not few.check()
    assert few.add(films, workers=1).videos.unchanged == 2


def test_an_index_remembers_it_and_one_without_is_as_before(tmp_path: Path) -> None:
    model = ColourRetriever()
    Index.create(tmp_path / "few", model, distinct=0.05)
    assert (
        Index.open(tmp_path / "few", retriever=model, distinct=0.05).header.cutting.distinct == 0.05
    )
    with pytest.raises(BadSetting, match=r"distinct is 0\.1, but the index .* made with 0\.05"):
        Index.open(tmp_path / "few", retriever=model, distinct=0.1)
    Index.create(tmp_path / "plain", model)
    written = json.loads((tmp_path / "plain" / "index.json").read_text("utf-8"))
    assert "distinct" not in written["cutting"]  # earlier versions refuse a key that they lack


@pytest.mark.parametrize("epsilon", [-0.1, 1.0, float("nan")])
def test_an_epsilon_that_no_index_can_have(epsilon: float) -> None:
    with pytest.raises(BadSetting, match="it is 1 - cosine of two moments that count as one"):
        Cutting(distinct=epsilon)
