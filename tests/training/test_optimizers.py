from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tempme.errors import BadSetting
from tempme.training.optimizers import OfficialAdamW, warmup_cosine, warmup_cosine_schedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/fn_optim.json").read_text())
TRACE = GOLDEN["adamw"]
TOTALS = [name for name in GOLDEN if name.isdigit()]


def official(parameter: torch.Tensor) -> OfficialAdamW:
    return OfficialAdamW(
        [parameter],
        TRACE["lr"],
        betas=tuple(TRACE["betas"]),
        eps=TRACE["eps"],
        weight_decay=TRACE["weight_decay"],
    )


def follow(optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> float:
    """The largest distance from the official trace, over all its steps."""
    worst = 0.0
    for gradient, after in zip(TRACE["grads"], TRACE["params_after"][1:], strict=True):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        worst = max(worst, (parameter.detach() - torch.tensor(after)).abs().max().item())
    return worst


def test_official_adamw_follows_the_official_trace() -> None:
    parameter = torch.nn.Parameter(torch.tensor(TRACE["p0"]))
    assert follow(official(parameter), parameter) < 2e-7


def test_the_adamw_of_torch_does_not() -> None:
    parameter = torch.nn.Parameter(torch.tensor(TRACE["p0"]))
    optimizer = torch.optim.AdamW(
        [parameter], TRACE["lr"], betas=(0.9, 0.999), eps=1e-6, weight_decay=TRACE["weight_decay"]
    )
    assert follow(optimizer, parameter) > 1e-6


def test_official_adamw_goes_on_from_a_saved_state() -> None:
    parameter = torch.nn.Parameter(torch.tensor(TRACE["p0"]))
    optimizer = official(parameter)
    for gradient in TRACE["grads"][:3]:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    resumed = torch.nn.Parameter(parameter.detach().clone())
    other = official(resumed)
    other.load_state_dict(optimizer.state_dict())
    for gradient in TRACE["grads"][3:]:
        resumed.grad = torch.tensor(gradient)
        other.step()
    torch.testing.assert_close(
        resumed.detach(), torch.tensor(TRACE["params_after"][-1]), rtol=0, atol=2e-7
    )


def test_parameters_without_gradient_stay() -> None:
    still, moving = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = OfficialAdamW([still, moving])

    def closure() -> float:
        optimizer.zero_grad()
        loss = (moving**2).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert still.tolist() == [1.0, 1.0]
    assert moving.tolist() != [1.0, 1.0]


@pytest.mark.parametrize("total", TOTALS)
def test_the_schedule_is_the_official_one(total: str) -> None:
    expected = GOLDEN[total]["lr_at_step"]
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=6e-4)
    schedule = warmup_cosine_schedule(optimizer, total_steps=int(total))
    rates = []
    for _ in expected:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected, rel=1e-12, abs=1e-18)
    assert int(0.1 * int(total)) == GOLDEN[total]["warmup"]


def test_the_schedule_ends_at_nothing() -> None:
    assert warmup_cosine(101, total_steps=100) == warmup_cosine(100, total_steps=100) == 0


def test_settings_that_no_run_could_use() -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(BadSetting, match="lr is -1"):
        OfficialAdamW([parameter], -1.0)
    with pytest.raises(BadSetting, match="betas"):
        OfficialAdamW([parameter], betas=(0.9, 1.0))
    with pytest.raises(BadSetting, match="total_steps is 0"):
        warmup_cosine(0, total_steps=0)
    with pytest.raises(BadSetting, match=r"warmup 1\.0"):
        warmup_cosine(0, total_steps=9, warmup=1.0)
