"""The numbers of the paper's Table 6, and those of the original run with other settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tempme
from counted import without_numbers
from tempme.compression import TempMe

# The cost of Table 6: "GFLOPs" as printed, clips and tokens of each after the last block.
TABLE_6 = [
    ("umt", 304.3, 1, 2352),
    ("umt4clip", 210.1, 12, 196),
    ("umt4clip-tempme", 111.5, 1, 80),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gflops", "clips", "tokens"), TABLE_6)
def test_table_6(name: str, gflops: float, clips: int, tokens: int) -> None:
    system = tempme.system(name)
    plan = system.plan()
    assert round(system.cost().gflops_paper, 1) == gflops
    assert (plan[-1].clips_out, plan[-1].tokens_out) == (clips, tokens)
    assert without_numbers(system) == round(1e9 * system.cost().gmacs)


@pytest.mark.parametrize(
    ("r", "cross", "intra", "gflops", "macs"),
    [
        (10, 40, 20, 120.753, 120.460),
        (10, 30, 10, 127.023, 126.710),
        (12, 40, 20, 113.277, 113.004),
        (12, 40, 30, 111.830, 111.561),
        (14, 30, 5, 111.641, 111.370),
        (14, 30, 10, 110.365, None),
        (12, 50, 15, 111.495, 111.228),
    ],
)
def test_the_cost_of_settings_that_the_original_was_run_with(
    r: int, cross: int, intra: int, gflops: float, macs: float | None
) -> None:
    method = TempMe(r, keep_cross=1 - cross / 100, keep_intra=1 - intra / 100)
    cost = replace(tempme.system("umt4clip-tempme"), compression=method).cost()
    assert cost.gflops_paper == pytest.approx(gflops, abs=0.002)
    assert macs is None or cost.gmacs == pytest.approx(macs, abs=0.002)
