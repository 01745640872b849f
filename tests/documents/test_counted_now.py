"""Documents state multiply-adds by one count, whichever version measured a row."""

from __future__ import annotations

import copy

import pytest

import tempme
from documents.counted import benchmark_now, experiments_now
from results_material import run


def test_results_cost_what_their_settings_cost_now() -> None:
    one = run("tempme", 0)
    before = copy.deepcopy(one)
    again = experiments_now({"scenes": {"tempme": (one,)}})["scenes"]["tempme"][0]
    cost = tempme.system("tempme", backbone="scenes-tiny").cost()
    assert again["cost"]["gmacs"] == cost.gmacs != before["cost"]["gmacs"]
    assert again["cost"]["gflops_paper"] == before["cost"]["gflops_paper"]
    assert again["metrics"] == before["metrics"]
    assert one == before


def test_settings_that_overrule_the_row_count() -> None:
    one = run("tempme", 0)
    one["settings"]["system"]["compression"] = {"r": 0}
    again = experiments_now({"scenes": {"x": (one,)}})["scenes"]["x"][0]
    assert again["cost"]["gmacs"] > tempme.system("tempme", backbone="scenes-tiny").cost().gmacs


def test_ratios_of_benchmarks_follow_and_times_stay() -> None:
    row = {
        "system": "tempme",
        "backbone": "ViT-B/32",
        "frames": 12,
        "batch": 1,
        "precision": "fp32",
        "prompts": None,
        "videos_per_second": 2.0,
        "speed_up": 1.3,
        "gmacs": 34.72,
        "macs_ratio": 1.524,
        "share_of_ratio": 0.853,
        "share_of_peak": 0.78,
    }
    again = benchmark_now({"notes": {"share_of_peak": "a; b"}, "rows": [row]})
    (counted,) = again["rows"]
    lora, system = (tempme.system(name).cost().gmacs for name in ("lora", "tempme"))
    assert counted["gmacs"] == round(system, 2)
    assert counted["macs_ratio"] == round(lora / system, 3)
    assert counted["share_of_ratio"] == pytest.approx(1.3 * system / lora, abs=1e-3)
    assert counted["share_of_peak"] == pytest.approx(0.78 * system / 34.72, abs=1e-3)
    assert (counted["videos_per_second"], counted["speed_up"]) == (2.0, 1.3)
    assert again["notes"]["share_of_peak"] == "a"
    assert "present count" in again["notes"]["counts"]


def test_benchmarks_of_something_else_stay() -> None:
    document = {"rows": [{"batch": 1, "seconds": 2.0}], "machine": "here"}
    assert benchmark_now(document) == document
