"""Products, MLPs and attention that learn on a CPU: the gradients of the plain ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from tempme.backbones import learning
from tempme.backbones.attention import attention
from tempme.backbones.layers import Block, through
from tempme.training import ContrastiveTask
from tempme.tuning.lora import LoRALinear
from training_material import RECIPE, Drawn, learnt, retriever

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of PyTorch has no oneDNN"
)


def both_ways(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], dict[str, Tensor]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What `run` gives as training on a CPU runs it, and plainly."""
    here = run()
    with monkeypatch.context() as plainly:
        plainly.setattr(learning, "_known_types", lambda: ())
        plainly.setattr("tempme.backbones.attention._recomputes", lambda *_: False)
        return here, run()


def gradients(module: nn.Module, x: Tensor, *, half: bool = False) -> dict[str, Tensor]:
    """The output of a module, and the gradients of its input and parameters."""
    module.zero_grad()
    x = x.detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
        y = module(x)
    torch.manual_seed(1)
    y.backward(torch.randn(y.shape).to(y.dtype))
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    assert x.grad is not None
    return {"output": y.detach(), "input": x.grad, **found}


def frozen(module: nn.Module, *names: str) -> nn.Module:
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in names)
    return module


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "lora":
        low = LoRALinear(nn.Linear(16, 48).requires_grad_(False), 4, 0.5)
        nn.init.normal_(low.up.weight)
        return low
    if kind in ("quick_gelu", "gelu"):
        return Block(16, 4, kind).mlp
    return Linear()


class Linear(nn.Module):
    """A plain layer, as attention runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(16, 24)

    def forward(self, x: Tensor) -> Tensor:
        return through(self.inside, x)


@pytest.mark.parametrize("kind", ["linear", "lora", "quick_gelu", "gelu"])
@pytest.mark.parametrize("learns", ["all", "none", "biases"])
def test_gradients_are_those_of_plain_layers(
    kind: str, learns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, x = made(kind), 2 * torch.randn(3, 5, 16)
    if learns != "all" and kind != "lora":
        biases = [name for name, _ in module.named_parameters() if name.endswith("bias")]
        frozen(module, *(biases if learns == "biases" else ()))
    monkeypatch.setattr(learning, "PIECE", 4)
    here, plain = both_ways(monkeypatch, lambda: gradients(module, x))
    assert here.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(here[name], value, rtol=1e-5, atol=2e-6, msg=name)


@pytest.mark.parametrize("kind", ["linear", "lora", "quick_gelu", "gelu"])
def test_in_bf16_they_are_as_near_to_fp32(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = made(kind), 2 * torch.randn(8, 40, 16)
    exact = gradients(copy.deepcopy(module), x)
    here, plain = both_ways(monkeypatch, lambda: gradients(module, x, half=True))
    for name, value in exact.items():
        assert here[name].dtype == plain[name].dtype
        errors = [(found[name].float() - value).norm() / value.norm() for found in (here, plain)]
        assert errors[0] < max(1.3 * errors[1], 4e-3), (name, errors)


def test_inputs_that_do_not_learn_and_rows_of_any_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("linear", "lora", "gelu"):
        module = made(kind)
        for x in (torch.randn(16), torch.randn(2, 16, 3).mT):

            def run(module: nn.Module = module, x: Tensor = x) -> dict[str, Tensor]:
                module.zero_grad()
                module(x).square().sum().backward()
                return {
                    name: p.grad.clone() for name, p in module.named_parameters() if p.requires_grad
                }

            here, plain = both_ways(monkeypatch, run)
            for name, value in plain.items():
                torch.testing.assert_close(here[name], value, rtol=1e-5, atol=1e-5, msg=name)
        assert module(torch.empty(0, 16)).shape[0] == 0


@pytest.mark.parametrize("biased", [True, False])
def test_attention_is_that_of_plain_products(biased: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    given = torch.randn(2, 5, 3, 4, 8).permute(2, 0, 3, 1, 4)
    bias = torch.rand(2, 1, 1, 5).log() if biased else None
    if bias is not None:
        bias[..., 1] = float("-inf")

    def run() -> dict[str, Tensor]:
        leaves = given.detach().requires_grad_()
        y = attention(*leaves, bias, causal=False)
        y.square().sum().backward()
        return {"output": y.detach(), "input": leaves.grad}

    here, plain = both_ways(monkeypatch, run)
    for name, value in plain.items():
        torch.testing.assert_close(here[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_a_bias_that_learns_gets_its_gradient() -> None:
    q = torch.randn(1, 2, 3, 4, requires_grad=True)
    bias = torch.zeros(1, 1, 1, 3, requires_grad=True)
    attention(q, q, q, bias, causal=False)[..., 0].square().sum().backward()
    assert bias.grad is not None
    assert bias.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["tempme", "clip4clip", "adapter", "evit"])
def test_a_whole_step_is_the_plain_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> dict[str, Tensor]:
        model = retriever(name)
        task = ContrastiveTask(model, RECIPE)
        task.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        task.training_step(Drawn().part(0, 0, 1), 0).backward()
        return {n: p.grad for n, p in learnt(model).items() if p.grad is not None}

    here, plain = both_ways(monkeypatch, run)
    assert here.keys() == plain.keys()
    for key, value in plain.items():
        error = (here[key] - value).norm()
        assert error <= 1e-5 * value.norm() + 1e-7, key
