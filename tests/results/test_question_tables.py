"""Tables of questions, and of what a match head looked at again."""

from __future__ import annotations

from typing import Any

import tempme
from documents.counted import benchmark_now
from results_material import run, scores
from tempme.results.accuracy import every_metric, every_seed, full_table, summaries
from tempme.results.plot import accuracy_plot


def answered(right: float) -> dict[str, Any]:
    return {
        "accuracy": right,
        "num_questions": 40,
        "by_type": {
            "colour (looks)": {"percent": right, "num_questions": 30},
            "first (order)": {"percent": right / 2, "num_questions": 10},
        },
        "by_need": {"looks": right, "order": right / 2},
    }


def asked(name: str, seed: int, right: float) -> dict[str, Any]:
    metrics = {"static": answered(right), "temporal": answered(right - 10)}
    one = run(name, seed, experiment=f"scenes-questions/{name}", metrics=metrics)
    one["settings"]["system"]["backbone"] = "UMT-scenes"
    return one


def test_answers_are_told_by_part_and_by_need() -> None:
    runs = {"umt": (asked("umt", 0, 60.0), asked("umt", 1, 70.0))}
    table = full_table(summaries(runs), {})
    assert "static accuracy (%)" in table
    assert "temporal: order (%)" in table
    assert "65.0 ± 7.1" in table
    assert "R@1" not in table
    assert "| umt | temporal | first (order) | 27.5 ± 3.5 | 10 |" in every_metric(summaries(runs))
    assert len(every_seed(runs, ["umt"]).splitlines()) == 4
    assert accuracy_plot({"questions": summaries(runs)}) is None


def test_what_was_looked_at_again_stands_beside() -> None:
    both = {"t2v": scores(40.0), "v2t": scores(38.0)}
    again = {"again": {"t2v": scores(55.0), "v2t": scores(54.0)}}
    metrics = {"static": both | again, "temporal": both | again}
    one = run("umt", 0, experiment="scenes-umt/umt", metrics=metrics)
    table = full_table(summaries({"umt": (one,)}), {})
    assert "static R@1, looked at again" in table
    assert "55.0" in table
    plain = full_table(summaries({"tempme": (run("tempme", 0),)}), {})
    assert "looked at again" not in plain


def test_benchmarks_of_umt_are_counted_beside_umt() -> None:
    row = {
        "system": "umt4clip-tempme",
        "backbone": "UMT-B/16",
        "frames": 12,
        "batch": 1,
        "precision": "fp32",
        "speed_up": 2.7,
        "gmacs": 1.0,
        "macs_ratio": 1.0,
        "share_of_ratio": 1.0,
    }
    (counted,) = benchmark_now({"notes": {}, "rows": [row]})["rows"]
    whole, merged = (tempme.system(name).cost().gmacs for name in ("umt", "umt4clip-tempme"))
    assert counted["gmacs"] == round(merged, 2)
    assert counted["macs_ratio"] == round(whole / merged, 3)
    assert counted["share_of_ratio"] == round(2.7 / round(whole / merged, 12), 3)
    assert "share_of_peak" not in counted
