"""Curves of rules: every row a point, spread as a bar, time only where all rows were timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from documents.curves import MULTIPLY_ADDS, TIME, draw_curves, read_rules, rule_curves


def row(name: str, gmacs: float, r1: float, **more: float) -> dict[str, Any]:
    return {"system": name, "gmacs": gmacs, "t2v_r1": r1, "times": 2.0 / gmacs, **more}


ROWS = [
    row("lora", 2.0, 90.0),
    row("tempme", 1.5, 89.0),
    row("tempme", 0.8, 80.0, t2v_r1_spread=1.5),
    row("tome", 1.0, 70.0),
]


def put(folder: Path, world: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"rules-{world}.json").write_text(json.dumps({"rows": rows}))


def points(axes: Any) -> dict[tuple[float, ...], tuple[float, ...]]:
    """x -> y of every line of points; levels and bars have other shapes."""
    drawn = (line for line in axes.lines if line.get_marker() == "o")
    return {
        tuple(round(float(x), 6) for x in one.get_xdata()): tuple(one.get_ydata()) for one in drawn
    }


def test_every_row_is_a_point_of_its_rule(tmp_path: Path) -> None:
    put(tmp_path, "temporal", ROWS)
    put(tmp_path, "static", ROWS[:2])
    figure = rule_curves(read_rules(tmp_path))
    assert figure is not None
    titles = [(axes.get_title(), axes.get_xlabel()) for axes in figure.axes]
    worlds = ("static scenes, no training", "temporal scenes, no training")
    assert titles == [(world, scale) for scale in (MULTIPLY_ADDS, TIME) for world in worlds]
    _, by_cost, _, by_time = figure.axes
    assert points(by_cost) == {(2.0,): (90.0,), (0.8, 1.5): (80.0, 89.0), (1.0,): (70.0,)}
    assert points(by_time) == {(1.0,): (90.0,), (0.4, 0.75): (80.0, 89.0), (0.5,): (70.0,)}
    assert sorted(t.get_text() for t in by_cost.texts) == ["lora", "tempme", "tome"]
    spans = [s[1][1] - s[0][1] for c in by_cost.collections for s in c.get_segments()]
    assert max(spans) == pytest.approx(3.0)


def test_names_stand_inside_of_the_picture(tmp_path: Path) -> None:
    """Beside the panel that they belong to, each in a line of its own."""
    names = [f"a-rule-of-number-{n}" for n in range(15)]
    put(tmp_path, "static", [*ROWS, *(row(name, 1.0, 96.0) for name in names)])
    figure = rule_curves(read_rules(tmp_path))
    assert figure is not None
    figure.canvas.draw()
    width, height = figure.bbox.width, figure.bbox.height
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 18
        assert all(0 < box.y0 < box.y1 < height and box.x0 < width for box in boxes)


def test_without_times_there_is_one_row_of_panels(tmp_path: Path) -> None:
    untimed = [{key: value for key, value in one.items() if key != "times"} for one in ROWS]
    put(tmp_path, "static", untimed)
    figure = rule_curves(read_rules(tmp_path))
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == [MULTIPLY_ADDS]
    assert rule_curves({}) is None


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    assert draw_curves(tmp_path) == ()
    put(tmp_path / "results" / "benchmarks", "static", ROWS)
    once = [path.read_bytes() for path in draw_curves(tmp_path)]
    assert once == [path.read_bytes() for path in draw_curves(tmp_path)]
    assert len(once) == 2
