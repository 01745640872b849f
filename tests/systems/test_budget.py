"""A row at the cost that is allowed: near it from below, and what it never does it never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tempme
from tempme.compression import EVS, RLT, TempMe
from tempme.errors import BadSetting
from tempme.experiments.settings import SystemSettings
from tempme.systems.budget import dense_gmacs, share_of_dense, within, within_budget
from tempme.systems.system import System
from tempme.systems.table import RULES

SHARES = (1.0, 0.65, 0.4, 0.3)
WITH_BUDGET = [*RULES, "tempme", "tome", "evit", "sta", "testa", "token-reduction"]
WHOLE = ("tempme-average", "dtem", "earlytom", "pitome")  # whole numbers alone, or nearly
LEAST = {"evit": 0.4, "sta": 0.65}  # below these the strongest setting still costs more


def share(row: System) -> float:
    return row.cost().gmacs / tempme.system("lora", backbone=row.backbone).cost().gmacs


@pytest.mark.parametrize("name", WITH_BUDGET)
@pytest.mark.parametrize("backbone", ["ViT-B/32", "ViT-B/16"])
@pytest.mark.one_in(3)
def test_the_cost_is_at_most_the_budget(name: str, backbone: str) -> None:
    before = 2.0
    for budget in SHARES:
        if backbone == "ViT-B/32" and budget < LEAST.get(name, 0):
            continue
        if name in LEAST and budget < 0.4:
            continue
        spent = share(tempme.system(name, backbone=backbone, budget=budget))
        assert spent <= budget
        assert spent < before
        before = spent


@pytest.mark.parametrize("name", [*(n for n in RULES if n not in WHOLE), "tempme"])
def test_shares_come_near_the_budget(name: str) -> None:
    for budget in (0.65, 0.4):
        assert share(tempme.system(name, budget=budget)) > budget - 0.01


def test_whole_numbers_go_as_near_as_they_can() -> None:
    """One token more of every frame and block, or an earlier join, is a step of its own."""
    for name in ("tome", "tempme-average"):
        made = tempme.system(name, budget=0.5)
        gentler = {
            "tome": lambda c: replace(c, r=c.r - 1),
            "tempme-average": lambda c: replace(c, earlier=c.earlier - 1),
        }[name]
        assert share(made) <= 0.5
        assert share(replace(made, compression=gentler(made.compression))) > 0.5  # type: ignore[no-untyped-call]


def test_what_a_rule_never_does_it_never_does() -> None:
    evs, at_once = (tempme.system(n, budget=0.3).compression for n in ("evs", "rlt-size"))
    assert isinstance(evs, EVS)
    assert (evs.r, evs.joins) == (0, {})
    assert isinstance(at_once, RLT)
    assert (at_once.r, at_once.keep_cross, at_once.keep_intra) == (0, 1, 1)
    assert at_once.keep < 0.75


def test_its_own_settings_are_strength_one() -> None:
    for name in ("tempme", "tempme-evs", "tome", "testa", "sta", "evit"):
        row = tempme.system(name, backbone="ViT-B/16")
        assert row.compression.scaled(1.0) == row.compression
    plain = TempMe().scaled(0.0)
    assert isinstance(plain, TempMe)
    assert (plain.r, plain.keep_cross, plain.keep_intra) == (0, 1, 1)


def test_an_experiment_has_a_budget() -> None:
    row = SystemSettings("tempme-rlt", budget=0.4, compression={"halves": True}).system()
    same = {"backbone": row.backbone, "frames": row.frames}
    plain = tempme.system("tempme-rlt", budget=0.4, **same).compression  # type: ignore[arg-type]
    assert isinstance(plain, RLT)
    assert row.compression == replace(plain, halves=True)
    with pytest.raises(BadSetting, match=r"system\.budget is 0; a share"):
        SystemSettings("tempme", budget=0)
    with pytest.raises(BadSetting, match=r"system\.budget is given beside continue_from"):
        SystemSettings("tempme", budget=0.5, continue_from="x")


def test_budgets_that_cannot_be() -> None:
    with pytest.raises(BadSetting, match="budget is 0; it is a share"):
        tempme.system("tempme", budget=0)
    with pytest.raises(BadSetting, match=r"budget is 0\.1, but sta costs 0\.4.* at least"):
        tempme.system("sta", budget=0.1)
    with pytest.raises(BadSetting, match="DiffRate has no budget"):
        tempme.system("diffrate", budget=0.5)
    assert within(tempme.system("lora"), 1.0) == tempme.system("lora")


@pytest.mark.parametrize("backbone", ["ViT-B/32", "ViT-B/16"])
@pytest.mark.parametrize("budget", [0.65, 0.5, 0.35, 0.25])
def test_tempme_is_near_any_budget_and_joins_all_frames(backbone: str, budget: float) -> None:
    made = within_budget(tempme.system("tempme", backbone=backbone), budget)
    assert budget - 0.015 <= share_of_dense(made) <= budget
    assert made.plan()[-1].clips == 1


def test_dense_is_the_cost_of_keeping_all() -> None:
    assert dense_gmacs(tempme.system("tempme")) == tempme.system("lora").cost().gmacs
    assert share_of_dense(tempme.system("lora")) == 1
    assert share_of_dense(tempme.system("tempme")) == pytest.approx(0.6923, abs=1e-3)


def test_other_numbers_of_frames_have_settings_too() -> None:
    for frames in (1, 5, 8, 64):
        made = within_budget(tempme.system("tempme", frames=frames), 0.6)
        assert share_of_dense(made) <= 0.6
        assert made.frames == frames


@pytest.mark.parametrize("name", ["clip4clip", "lora", "temporal-modelling", "dgl"])
def test_a_row_that_saves_nothing_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} keeps every token.*take a system that merges"):
        within_budget(tempme.system(name), 0.5)


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.5, 50.0, float("nan")])
def test_a_budget_is_a_share(budget: float) -> None:
    with pytest.raises(BadSetting, match="it is a share of the dense multiply-adds"):
        within_budget(tempme.system("tempme"), budget)
