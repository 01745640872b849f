"""The optimiser and the learning-rate schedule of the official TempMe code.

torch's AdamW is what a new run should use; `OfficialAdamW` is for numbers that have to agree with
the published ones. It differs in two places (after transformers' first AdamW):

    the weight decay acts after the step, on the parameter already moved
    epsilon joins sqrt(v) before the bias correction, not after
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tempme.errors import BadSetting


class OfficialAdamW(Optimizer):
    """AdamW as the official code has it."""

    def __init__(
        self,
        parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 6e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.2,
    ) -> None:
        if not lr >= 0 or not eps > 0 or not weight_decay >= 0:
            raise BadSetting(
                f"lr is {lr}, eps {eps}, weight_decay {weight_decay}: lr and weight_decay are 0 or"
                " more, eps is above 0"
            )
        if not all(0 <= beta < 1 for beta in betas):
            raise BadSetting(f"betas are {betas}; both are at least 0 and below 1")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].mul_(first).add_(gradient, alpha=1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        correction = math.sqrt(1 - second ** state["step"]) / (1 - first ** state["step"])
        scale = state["square"].sqrt().add_(group["eps"])
        parameter.addcdiv_(state["mean"], scale, value=-group["lr"] * correction)
        parameter.add_(parameter, alpha=-group["lr"] * group["weight_decay"])


def warmup_cosine(step: int, *, total_steps: int, warmup: float = 0.1, floor: float = 0.0) -> float:
    """The share of the learning rate at a step: linear from 0, then half a cosine to 0.

    `warmup` is the share of `total_steps` spent rising, rounded down to whole steps. The share is
    `floor` where it would be less (UMT: 0.01, at both ends).
    """
    if total_steps < 1 or not 0 <= warmup < 1 or not 0 <= floor <= 1:
        raise BadSetting(
            f"total_steps is {total_steps}, warmup {warmup}, floor {floor}; at least one step, a"
            " share of them from 0 to below 1, and a share of the rate from 0 to 1"
        )
    rising = int(round(warmup * total_steps, 6))  # 0.29 * 100 is 28.999...
    if step < rising:
        return max(floor, step / rising)
    progress = min(1.0, (step - rising) / max(1, total_steps - rising))
    return max(floor, 0.5 * (1.0 + math.cos(math.pi * progress)))


def warmup_cosine_schedule(
    optimizer: Optimizer, *, total_steps: int, warmup: float = 0.1, floor: float = 0.0
) -> LambdaLR:
    """`warmup_cosine` on every group's own learning rate; call `.step()` after each step."""
    return LambdaLR(
        optimizer,
        lambda step: warmup_cosine(step, total_steps=total_steps, warmup=warmup, floor=floor),
    )


def decay_groups(
    named: Iterable[tuple[str, Tensor]], *, weight_decay: float
) -> list[dict[str, Any]]:
    """Two groups of what learns: with weight decay, and without it biases and all vectors (UMT).

    A lone number, such as a temperature, decays: it is not a vector.
    """
    decaying: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in named:
        if parameter.requires_grad:
            spared = parameter.ndim == 1 or name.endswith("bias")
            (others if spared else decaying).append(parameter)
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
