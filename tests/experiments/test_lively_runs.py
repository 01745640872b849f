"""Runs that learn from lively scenes, and how they stand in tables beside others."""

from __future__ import annotations

from pathlib import Path

import pytest

from results_material import put, run, scores
from tempme.errors import BadSetting, UnknownName
from tempme.experiments import Experiment, judge
from tempme.experiments import run as train
from tempme.experiments.settings import SceneData
from tempme.results.accuracy import every_metric, full_table, short_table, summaries
from tempme.results.runs import read_experiments
from tempme.retriever.retriever import Retriever
from tempme.scenes.batches import Pool
from tempme.systems.table import system

ROOT = Path(__file__).parents[2]
ROWS = sorted((ROOT / "experiments").glob("scenes-lively*/*.toml"))

SMALL = """
[system]
name = "tome"
weights = "scenes-tiny"
frames = 3
tuning = { vision_from = 8 }
[data]
lively = 0.6
static = 0.5
pool = 8
[recipe]
steps = 2
batch = 6
[evaluation]
gallery = 4
"""


@pytest.mark.slow
def test_what_learns_from_lively_scenes_is_judged_on_them(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    experiment = Experiment.read(path)
    assert isinstance(experiment.data, SceneData)
    assert experiment.data.lively == 0.6
    _, result = train(experiment, seed=0, folder=tmp_path / "run", show_progress=False)
    assert result is not None
    assert list(result["metrics"]) == ["static", "temporal", "lively", "both"]
    assert result["metrics"]["both"]["t2v"]["num_queries"] == 8
    assert set(result["data"]) == {"name", "test", "gallery", "lively"}
    without = Experiment.read(path, ["data.lively=0"])
    _, other = train(without, seed=0, folder=tmp_path / "other", show_progress=False)
    assert other is not None
    assert list(other["metrics"]) == ["static", "temporal", "both"]
    assert other["data"] == {k: v for k, v in result["data"].items() if k != "lively"}


def test_a_share_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    with pytest.raises(BadSetting, match=r"data\.lively is 1\.5; it is a share"):
        Experiment.read(path, ["data.lively=1.5"])


@pytest.mark.slow
def test_mean_pooling_tells_rivals_apart_but_no_twins() -> None:
    made = Retriever.build(system("lora", backbone="scenes-tiny"), "scenes-tiny", seed=0)
    found = judge(made, "lively", gallery=12)
    assert set(found) == {"t2v", "v2t", "twins", "rivals"}
    assert found["twins"] == 50


def test_tables_show_lively_scenes_only_where_they_were_judged(tmp_path: Path) -> None:
    put(tmp_path, run("tempme", 0), run("lora", 0))
    of_before = summaries(read_experiments(tmp_path)["scenes"])
    for text in (full_table(of_before, {}), short_table(of_before)):
        assert "lively" not in text
    both = {"t2v": scores(61.0), "v2t": scores(59.0)}
    metrics = {
        "static": both,
        "temporal": {**both, "twins": 51.0},
        "lively": {"t2v": scores(37.0), "v2t": scores(36.0), "twins": 50.0, "rivals": 72.5},
    }
    put(tmp_path, run("tempme", 0, experiment="scenes-lively/tempme", metrics=metrics))
    found = summaries(read_experiments(tmp_path)["scenes-lively"])
    table = full_table(found, {})
    assert "lively R@1" in table
    row = dict(
        zip(
            *(
                line.strip("| ").split(" | ")
                for line in (table.splitlines()[0], table.splitlines()[2])
            ),
            strict=True,
        )
    )
    assert row["lively R@1"] == "37.0"
    assert row["lively: order told apart (%)"] == "50.0"
    assert row["lively: details told apart (%)"] == "72.5"
    assert row["twins told apart (%)"] == "51.0"
    assert "| lively | text to video | 37.00" in every_metric(found)


@pytest.mark.parametrize("path", ROWS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_rows_are_alike_but_for_the_system(path: Path) -> None:
    one, other = Experiment.read(path), Experiment.read(ROWS[0])
    assert one.system.name == path.stem
    assert one.system.weights == "scenes-lively"
    assert (one.data, one.system.tuning, one.evaluation) == (
        other.data,
        other.system.tuning,
        other.evaluation,
    )
    plain = ROOT / f"experiments/scenes/{path.stem}.toml"
    if plain.exists():
        assert one.recipe == Experiment.read(plain).recipe


def test_rows_at_a_quarter_cost_no_more() -> None:
    dense = system("lora", backbone="scenes-tiny").cost().gmacs
    rows = [path for path in ROWS if path.parent.name == "scenes-lively-quarter"]
    assert len(rows) == 3
    for path in rows:
        made = Experiment.read(path).system.system("scenes-tiny")
        share = made.cost().gmacs / dense
        assert share <= 0.25, path
        assert share >= 0.24 or path.stem == "tempme-average", path  # whose costs lie far apart


def test_only_plots_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    with pytest.raises(UnknownName, match="did you mean 'where'"):
        Experiment.read(path, ['data.plots=["were"]'])
    pool = Pool.of(20, static=0.5, lookalikes=0, seed=0, lively=1.0, plots=("where",))
    assert {scene.plot for scene in pool.scenes} == {"where"}
