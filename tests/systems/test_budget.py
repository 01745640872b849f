"""A budget: settings of a row that cost nearest below a share of dense multiply-adds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tempme.compression import COMPRESSIONS, Keep, TempMe, ToMe
from tempme.errors import BadSetting
from tempme.systems.budget import (
    LADDERS,
    NEAR,
    check_saves,
    dense_gmacs,
    share_of_dense,
    within_budget,
)
from tempme.systems.table import system

ROWS = ("tempme", "tome", "evit", "sta", "testa", "diffrate", "token-reduction", "tempme-full")


@pytest.mark.parametrize("budget", [0.65, 0.5])
@pytest.mark.parametrize("name", ROWS)
def test_the_cost_is_within_the_budget_and_not_far_below(name: str, budget: float) -> None:
    row = system(name)
    made = within_budget(row, budget)
    assert budget - 0.1 < share_of_dense(made) <= budget  # a token of a frame is 0.08 of ToMe
    assert replace(made, compression=row.compression) == row


@pytest.mark.parametrize("backbone", ["ViT-B/32", "ViT-B/16"])
@pytest.mark.parametrize("budget", [0.65, 0.5, 0.35, 0.25])
def test_tempme_is_near_any_budget(backbone: str, budget: float) -> None:
    made = within_budget(system("tempme", backbone=backbone), budget)
    assert budget - NEAR <= share_of_dense(made) <= budget
    assert isinstance(made.compression, TempMe)
    assert made.plan()[-1].clips == 1  # all frames have joined, as in the row


def test_dense_is_the_cost_of_keeping_all() -> None:
    assert dense_gmacs(system("tempme")) == system("lora").cost().gmacs
    assert share_of_dense(system("lora")) == 1
    assert share_of_dense(system("tempme")) == pytest.approx(0.6923, abs=1e-3)


def test_less_is_never_dearer() -> None:
    row = system("tempme")
    shares = [share_of_dense(within_budget(row, budget / 20)) for budget in range(4, 18)]
    assert shares == sorted(shares)


def test_other_numbers_of_frames_have_settings_too() -> None:
    for frames in (1, 5, 8, 64):
        made = within_budget(system("tempme", frames=frames), 0.6)
        assert share_of_dense(made) <= 0.6
        assert made.frames == frames


@pytest.mark.parametrize("name", ["clip4clip", "lora", "temporal-modelling", "dgl"])
def test_a_row_that_saves_nothing_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} keeps every token.*take a system that merges"):
        within_budget(system(name), 0.5)


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.5, 50.0, float("nan")])
def test_a_budget_is_a_share(budget: float) -> None:
    with pytest.raises(BadSetting, match="it is a share of the dense multiply-adds"):
        within_budget(system("tempme"), budget)


def test_what_cannot_cost_so_little_says_what_it_can() -> None:
    with pytest.raises(BadSetting, match=r"evit costs at least 0\.\d+ .* ask for (0\.\d+) or more"):
        within_budget(system("evit"), 0.1)
    with pytest.raises(BadSetting) as caught:
        within_budget(system("sta"), 0.1)
    least = float(str(caught.value).rpartition("ask for ")[2].split()[0])
    assert share_of_dense(within_budget(system("sta"), least)) <= least


def test_a_compression_without_a_ladder_keeps_its_own_settings() -> None:
    class Halved(ToMe):
        """A method of a person's own."""

    mine = replace(system("tome"), name="mine", compression=Halved())
    check_saves(mine)
    with pytest.raises(BadSetting, match="mine has no settings for a budget: leave the budget out"):
        within_budget(mine, 0.5)
    assert set(LADDERS) <= set(COMPRESSIONS.values()) - {Keep}
