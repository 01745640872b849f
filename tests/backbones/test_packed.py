"""Packed linear layers: the same products, wherever they are copied, moved or cut."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from tempme.backbones import packed
from tempme.backbones.layers import Attention, Block
from tempme.backbones.mlp import QuickGELU
from tempme.backbones.packed import PackedLinear, pack
from tempme.backbones.umt.vision import QueryValueBias

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of PyTorch has no oneDNN"
)


def linear(width: int = 12, out: int = 20, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(width + out)
    return nn.Linear(width, out, bias=bias).requires_grad_(False)


def block(activation: str = "quick_gelu") -> Block:
    torch.manual_seed(0)
    return Block(16, 4, activation).requires_grad_(False).eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 12), (12,), (0, 12), (2, 0, 12), (700, 12)])
def test_the_same_product(shape: tuple[int, ...], bias: bool) -> None:
    plain = linear(bias=bias)
    made = PackedLinear.of(plain, torch.float32)
    x = torch.randn(shape)
    with torch.inference_mode():
        assert made(x).shape == plain(x).shape
        assert torch.allclose(made(x), plain(x), atol=1e-6)


def test_rows_that_do_not_lie_one_after_the_other() -> None:
    plain = linear()
    made = PackedLinear.of(plain, torch.float32)
    x = torch.randn(5, 4, 24)[..., ::2].transpose(0, 1)
    assert torch.allclose(made(x), plain(x), atol=1e-6)
    assert torch.allclose(made.rows(x, slice(7)), plain(x)[..., :7], atol=1e-6)
    assert torch.allclose(made.rows(x, slice(7, None)), plain(x)[..., 7:], atol=1e-6)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_an_mlp_and_its_activation(activation: str) -> None:
    plain = block(activation)
    made = pack(copy.deepcopy(plain), torch.float32)
    assert sum(isinstance(m, PackedLinear) for m in made.modules()) == 4
    assert not any(type(m) is nn.Linear for m in made.modules())
    x = 3 * torch.randn(2, 7, 16)
    assert torch.allclose(made.mlp(x), plain.mlp(x), atol=3e-6)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_bf16_is_as_it_is_without(activation: str) -> None:
    exact, x = block(activation), torch.randn(64, 16).bfloat16()
    rounded = copy.deepcopy(exact).bfloat16()
    made = pack(copy.deepcopy(exact), torch.bfloat16).bfloat16()
    assert sum(isinstance(m, PackedLinear) for m in made.modules()) == 4
    step = 2**-8 * rounded.mlp(x).abs().max()  # which the order of sums may take
    assert (made.mlp(x) - rounded.mlp(x)).abs().max() <= step


def test_it_can_be_copied_kept_and_cast_before_and_after_use() -> None:
    plain, x = linear(), torch.randn(3, 12)
    made = PackedLinear.of(plain, torch.float32)
    for _ in range(2):  # the first time it has not been used
        again = pickle.loads(pickle.dumps(copy.deepcopy(made)))
        assert torch.equal(again(x), made(x))
        assert torch.equal(again.rows(x, slice(3)), made.rows(x, slice(3)))
    half = copy.deepcopy(made).bfloat16()
    assert half(x.bfloat16()).dtype == torch.bfloat16
    assert torch.allclose(half(x.bfloat16()).float(), plain(x), atol=0.05)
    assert torch.allclose(half.rows(x.bfloat16(), slice(4)).float(), plain(x)[:, :4], atol=0.05)


def test_under_a_callers_autocast() -> None:
    plain, x = linear(), torch.randn(3, 12)
    made = PackedLinear.of(plain, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(made(x.bfloat16()), plain(x).float(), atol=0.05)


def test_elsewhere_it_is_a_plain_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = PackedLinear.of(linear(), torch.float32).to("meta")
    assert moved(torch.randn(3, 12, device="meta")).shape == (3, 20)
    assert not packed.can_pack(torch.device("cuda"))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not packed.can_pack(torch.device("cpu"))


@pytest.mark.parametrize("bias", [True, False])
def test_a_compiler_is_given_plain_layers(monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    """What is laid out, in whole or in part, while a graph is made would be unknown to it."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    plain, x = nn.Linear(12, 20, bias=bias), torch.randn(2, 3, 12)
    made = PackedLinear.of(plain, torch.float32)
    with torch.inference_mode():
        assert torch.equal(made(x), plain(x))
        assert torch.allclose(made.rows(x, slice(4, 8)), plain(x)[..., 4:8], atol=1e-6)
    assert not made._parts
    assert not made.weight.is_mkldnn


@pytest.mark.slow
def test_a_compiled_layer_gives_the_same() -> None:
    plain, x = linear(), torch.randn(2, 3, 12)
    made = PackedLinear.of(plain, torch.float32)
    part = torch.compile(made.rows, fullgraph=True, backend="eager")
    with torch.inference_mode():
        made(x)  # has laid it out
        assert torch.allclose(part(x, slice(4)), plain(x)[..., :4], atol=1e-6)


def test_a_model_needs_no_compiler() -> None:
    """Which is another second until the first answer, and 70 MB, of every process."""
    code = "import sys, tempme.retriever.retriever; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_projection_without_a_bias_of_keys() -> None:
    torch.manual_seed(0)
    plain = Attention(16, 4)
    plain.add_module("qkv", QueryValueBias(16))
    for bias in (plain.qkv.q_bias, plain.qkv.v_bias):
        nn.init.normal_(bias)
    made, x = pack(copy.deepcopy(plain), torch.float32), torch.randn(2, 7, 16)
    assert isinstance(made.qkv, PackedLinear)
    with torch.inference_mode():
        for queries in (None, 1):
            for mine, theirs in zip(
                made.project(x, queries), plain.project(x, queries), strict=True
            ):
                assert torch.allclose(mine, theirs, atol=1e-6)


def test_what_is_not_plain_is_left_alone() -> None:
    class Own(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1

    attention = Attention(16, 4)
    attention.qkv = Own(16, 48)
    made = block()
    made.mlp[1] = nn.ReLU()
    rough = block("gelu")
    rough.mlp[1] = nn.GELU(approximate="tanh")
    for module in (attention, made, rough):
        pack(module, torch.float32)
    assert type(attention.qkv) is Own
    assert isinstance(attention.out, PackedLinear)
    assert type(made.mlp[0]) is type(rough.mlp[0]) is nn.Linear
    assert QuickGELU in packed._ACTIVATIONS


def test_a_graph_has_no_breaks() -> None:
    made, x = pack(block(), torch.float32), torch.randn(2, 7, 16)
    made.mlp(x)  # laid out before: a graph takes them as they were
    graph = torch.compile(made.mlp, fullgraph=True, backend="eager")
    with torch.inference_mode():
        assert torch.allclose(graph(x), made.mlp(x), atol=3e-6)
