"""`tempme show` and `tempme systems`: the paper, in a terminal."""

from __future__ import annotations

import pytest

import tempme
from terminals import Terminal


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd)


def test_show_prints_the_paper(run: Terminal) -> None:
    document = run("show", "tempme", "--json").document
    assert list(document) == [
        "system",
        "backbone",
        "frames",
        "clips_out",
        "tokens_out",
        "gmacs",
        "gflops_paper",
        "trainable_parameters",
        "steps",
    ]
    assert (document["tokens_out"], round(document["gflops_paper"], 1)) == (97, 34.8)
    assert document["trainable_parameters"] == 507_648
    keys = ["block", "clips", "join", "cross", "intra", "attended", "tokens_out"]
    assert [list(step)[:7] for step in document["steps"]] == [keys] * 12
    table = run("show", "tempme").out
    assert "1 x 168" in table
    assert "34.8 as the paper counts" in table


@pytest.mark.slow
def test_systems_are_listed(run: Terminal) -> None:
    document = run("systems", "--json").document
    assert [row["system"] for row in document["systems"]] == list(tempme.list_systems())
    assert "clip4clip" in run("systems").out
