"""`tempme show --budget`: tables and pictures of systems at a share of the multiply-adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tempme
from tempme.systems import table as zoo
from tempme.systems.budget import STRONGEST, share_of_dense
from terminals import Terminal


def test_a_budget(show: Terminal) -> None:
    own, half = (
        show("tempme-rlt", "--backbone", "ViT-B/32", *more, "--json").document
        for more in ((), ("--budget", "0.65"))
    )
    whole = zoo.system("lora").cost().gmacs
    assert own["gmacs"] < half["gmacs"] <= 0.65 * whole
    failed = show("sta", "--budget", "0.1")
    assert "budget is 0.1, but sta costs" in failed.err


def test_a_picture_within_a_budget(
    show: Terminal, film: Path, trained: Path, tmp_path: Path
) -> None:
    """Both at the same share, by the plan of the row there; what was trained is at another cost."""
    words = ("--video", film, "--out", tmp_path / "a.png", "--model", trained, "--budget")
    tome, ours = show("tempme", *words, "0.6", "--json").document["systems"]
    sizes = tempme.load(trained).system.config
    for one in (tome, ours):
        row = zoo.system(one["system"], backbone=sizes, frames=6, budget=0.6)
        assert one["tokens"][1:] == [step.clips_out * step.tokens_out for step in row.plan()]
        assert one["weights"].endswith(f"the weights of {trained}")
        assert "% of the dense multiply-adds, not trained" in one["weights"]
    least = []
    for name in ("tome", "tempme-rlt"):
        row = zoo.system(name, backbone=sizes, frames=6)
        least.append(share_of_dense(replace(row, compression=row.compression.scaled(STRONGEST))))
    assert least[1] < least[0]
    between = f"{sum(least) / 2:.6f}"
    unreached = show("tempme-rlt", *words, between)
    assert unreached.err.startswith(f"without tome: budget is {between}, but tome costs")
    assert unreached.out.startswith("tempme-rlt (")
    for name, budget, told in (
        ("tempme", "0.01", "budget is 0.01, but tempme costs"),
        ("tempme", "0", "it is a share of the multiply-adds: above 0"),
        ("lora", "0.5", "lora costs 1.00"),
    ):
        assert told in show(name, *words, budget).refusal
