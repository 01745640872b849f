"""Plots show what results say, labels keep apart, and the same results give the same bytes."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from PIL import Image

from documents.plots import draw, loss_plot
from results_material import put, run
from tempme.results.accuracy import summaries
from tempme.results.labels import place_labels, spread_apart
from tempme.results.plot import accuracy_plot
from tempme.systems.table import PAPER


def many(experiments: int) -> dict[str, list[dict[str, Any]]]:
    """Runs of the paper's systems, crowded: many cost the same and find nearly as much."""
    drawn = random.Random(0)
    made = {}
    for name in list(PAPER)[:experiments]:
        runs = [run(name, seed, r1=40 + drawn.gauss(0, 2)) for seed in range(3)]
        for one in runs:
            one["cost"]["gmacs"] = 1.5 + 0.3 * (list(PAPER).index(name) % 3)
        made[name] = runs
    return made


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def extent(text: Any) -> Any:
    """What a label fills, without the line to its mark."""
    text.get_window_extent()  # puts it into its place
    return Text.get_window_extent(text)


def test_every_experiment_is_a_named_point_in_every_part() -> None:
    figure = accuracy_plot({"scenes": summaries(many(5))})
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["scenes: static", "scenes: temporal"]
    for axes in figure.axes:
        assert sorted(text.get_text() for text in axes.texts) == sorted(list(PAPER)[:5])
        heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 1]
        assert {round(float(height)) for height in heights} <= set(range(33, 48))
        low, high = axes.get_ylim()
        assert all(low < height < high for height in heights)


@pytest.mark.parametrize("experiments", [2, 8, 25])
def test_labels_cover_neither_each_other_nor_marks(experiments: int) -> None:
    figure = accuracy_plot({"scenes": summaries(many(experiments))})
    assert figure is not None
    for axes in figure.axes:
        boxes = [extent(text) for text in axes.texts]
        assert len(boxes) == experiments
        covered = [
            (one, other)
            for i, one in enumerate(boxes)
            for other in boxes[:i]
            if (common := one.intersection(one, other)) is not None
            and min(common.width, common.height) > 2  # pixels: ascenders may touch
        ]
        assert not covered
        whole = axes.get_window_extent()
        assert all(whole.x0 - 1 < box.x0 and box.x1 < whole.x1 + 1 for box in boxes)


def test_a_label_stands_near_its_mark_where_there_is_room() -> None:
    figure = accuracy_plot({"scenes": summaries(many(2))})
    assert figure is not None
    axes = figure.axes[0]
    for text in list(axes.texts):
        text.remove()
    place = (1.6, 40.0, 0.0)
    ((left, bottom, _, top),) = place_labels(axes, {"alone": place})
    x, y = axes.transData.transform(place[:2])
    assert 0 < left - x < 20
    assert bottom < y < top


def test_what_has_nothing_to_show_has_no_plot() -> None:
    assert accuracy_plot({"scenes": summaries(many(1))}, least_costs=2) is None
    alike = {"keep-1": [run("tempme", 0)], "keep-2": [run("tempme", 0)]}
    above_one_another = {"scenes": summaries(alike)}
    assert accuracy_plot(above_one_another, least_costs=2) is None
    assert accuracy_plot(above_one_another) is not None  # a person who asks for it sees it
    assert loss_plot({"tempme": [run("tempme", 0, history=None)]}, "scenes") is None


def test_loss_is_the_mean_over_seeds_and_named_at_its_end() -> None:
    experiments = {"lora": [run("lora", 0)], "tempme": [run("tempme", 0), run("tempme", 2)]}
    figure = loss_plot(experiments, "scenes")
    assert figure is not None
    (axes,) = figure.axes
    assert sorted(texts(figure)) == ["lora", "tempme"]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 4)
    assert list(curve.get_xdata()) == [1, 10, 20, 30]
    means = [list(line.get_ydata()) for line in axes.lines]
    assert means[1] == pytest.approx([4.1, 0.5, 0.3, 4 / 30 + 0.1])
    boxes = [extent(text) for text in axes.texts]
    assert boxes[0].intersection(*boxes) is None


def test_crowded_names_spread_around_their_middle() -> None:
    assert spread_apart([10.0, 50.0], 5, between=(0, 100)) == [10.0, 50.0]
    assert spread_apart([50.0, 50.0, 50.0], 10, between=(0, 100)) == [40.0, 50.0, 60.0]
    assert spread_apart([1.0, 1.0, 2.0], 10, between=(0, 100)) == [0.0, 10.0, 20.0]
    assert spread_apart([98.0, 99.0], 10, between=(0, 100)) == [90.0, 100.0]


def test_long_histories_are_averaged_in_groups() -> None:
    history = [{"step": step, "loss": 1.0} for step in range(5000)]
    figure = loss_plot({"tempme": [run("tempme", 0, history=history)]}, "scenes")
    assert figure is not None
    assert len(figure.axes[0].lines[0].get_xdata()) == 60


@pytest.mark.slow
def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    for name, runs in many(3).items():
        put(tmp_path / "results", *runs)
        assert (tmp_path / "results" / "scenes" / name).is_dir()
    written = draw(tmp_path)
    assert {path.name for path in written} == {
        "scenes-accuracy.png",
        "scenes-accuracy.svg",
        "scenes-loss.png",
        "scenes-loss.svg",
    }
    before = {path: path.read_bytes() for path in written}
    assert draw(tmp_path) == written
    assert {path: path.read_bytes() for path in written} == before
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert min(picture.size) > 300
                assert len(picture.getcolors(1 << 20) or ()) > 10  # something was drawn
        else:
            assert not re.search(r"dc:date|Matplotlib v", path.read_text("utf-8"))
