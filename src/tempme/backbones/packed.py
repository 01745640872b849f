"""Frozen linear layers on a CPU, their weights laid out beforehand as oneDNN likes them.

A linear layer of PyTorch lays its weights out anew in every call, a sixth of its time. Here that is
done once, and an activation is part of the product before it: x sigmoid(1.702 x), CLIP's, is the
SiLU of 1.702 x over 1.702, so that the factor goes into the weights before it and the divisor into
those after it. In fp32 features change by rounding alone; in bf16 activations stay by themselves,
and features as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.backbones.layers import Attention, Block, Foldable
from tempme.backbones.mlp import QUICK, QuickGELU
from tempme.backbones.umt.vision import QueryValueBias

# Rows of a product that the layout is made for; of others the results are the same.
ROWS = 600


class Activation(NamedTuple):
    """What oneDNN calls it, and its algorithm; how far weights before it are to be stretched."""

    name: str
    algorithm: str
    stretch: float
    plain: Callable[[Tensor], Tensor]


_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    QuickGELU: Activation("swish", "", QUICK, F.silu),
    nn.GELU: Activation("gelu", "none", 1.0, F.gelu),
}
# What derives from these may compute something else.
_LINEARS = (nn.Linear, QueryValueBias)
_NOTHING = Activation("none", "", 1.0, torch.positive)


def can_pack(device: torch.device) -> bool:
    """Whether this build of PyTorch has oneDNN, and the model is where it works."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()


def pack(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Pack the plain linear layers of all attentions and blocks in `module`; returns `module`."""
    for part in list(module.modules()):
        if isinstance(part, Attention):
            for name in ("qkv", "out"):
                if _is_plain(linear := getattr(part, name)):
                    part.add_module(name, PackedLinear.of(linear, dtype))
        if isinstance(part, Block) and _is_plain_mlp(part.mlp):
            part.mlp = _packed_mlp(part.mlp, dtype)
    return module


def packable(module: nn.Module) -> Iterator[nn.Linear | QueryValueBias]:
    """The linear layers in `module` that `pack` would replace."""
    for part in module.modules():
        found: list[nn.Module] = []
        if isinstance(part, Attention):
            found = [one for one in (part.qkv, part.out) if _is_plain(one)]
        if isinstance(part, Block) and _is_plain_mlp(part.mlp):
            found = [part.mlp[0], part.mlp[2]]
        yield from cast("list[nn.Linear | QueryValueBias]", found)


def lay_out(module: nn.Module) -> None:
    """Lay out now what is packed in `module`, which else happens when it is first used."""
    for part in module.modules():
        if isinstance(part, PackedLinear):
            part.lay_out()


class PackedLinear(Foldable):
    """A linear layer and the activation after it; packed when first used on a CPU."""

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: Tensor, bias: Tensor | None, activation: Activation = _NOTHING
    ) -> None:
        super().__init__()
        self._activation = activation
        self._parts: dict[tuple[int | None, int | None], PackedLinear] = {}
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    @classmethod
    def of(
        cls,
        linear: nn.Linear | QueryValueBias,
        dtype: torch.dtype,
        *,
        stretch: float = 1.0,
        shrink: float = 1.0,
        activation: Activation = _NOTHING,
    ) -> PackedLinear:
        """Of a layer in fp32, whose weights are times `stretch` / `shrink`, its bias `stretch`."""
        weight = (linear.weight.detach() * (stretch / shrink)).to(dtype)
        bias = None if linear.bias is None else (linear.bias.detach() * stretch).to(dtype)
        return cls(weight, bias, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if _is_laid_out_elsewhere(x):
            return self._plain(x, slice(None))
        self.lay_out()
        name, algorithm = self._activation.name, self._activation.algorithm
        same = x.to(self.weight.dtype)  # where a caller's autocast has halved it
        made: Tensor = torch.ops.mkldnn._linear_pointwise(
            same, self.weight, self.bias, name, [], algorithm
        )
        return made

    def lay_out(self) -> None:
        """Lay the weight out, unless it is."""
        if not self.weight.is_mkldnn:
            weight = self.weight.contiguous()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)

    def rows(self, x: Tensor, part: slice) -> Tensor:
        """(..., in) -> (..., as many of the numbers put out), which are packed once asked for."""
        if _is_laid_out_elsewhere(x):
            return self._plain(x, part)
        key = part.start, part.stop
        if key not in self._parts:
            bias = None if self.bias is None else self.bias[part]
            self._parts[key] = PackedLinear(self._dense()[part], bias, self._activation)
        return self._parts[key](x)

    def _plain(self, x: Tensor, part: slice) -> Tensor:
        dense = self._dense()[part].to(x.device)
        bias = None if self.bias is None else self.bias[part]
        return self._activation.plain(F.linear(x.to(dense.dtype), dense, bias))

    def fold(self) -> nn.Module:
        """Itself: there is nothing cheaper."""
        return self

    def _dense(self) -> Tensor:
        return self.weight.to_dense() if self.weight.is_mkldnn else self.weight

    # A graph takes it as a constant. This is all that torch.compiler.assume_constant_result does,
    # but that imports the compiler first: a second, and 70 MB, in every process that has a model.
    _dense._dynamo_marked_constant = True  # type: ignore[attr-defined]

    # What is laid out can be neither moved nor copied as it lies.

    def _unpack(self) -> None:
        self.weight, self._parts = self._dense(), {}

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._unpack()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        self._unpack()
        return self.__dict__


def _is_laid_out_elsewhere(x: Tensor) -> bool:
    """By another device, or by a compiler."""
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def _packed_mlp(mlp: nn.Sequential, dtype: torch.dtype) -> nn.Sequential:
    before, activation, after = cast("tuple[nn.Linear, nn.Module, nn.Linear]", mlp)
    if dtype != torch.float32:  # stretched weights would be rounded to others than before
        whole = PackedLinear.of(before, dtype), activation, PackedLinear.of(after, dtype)
        return nn.Sequential(*whole)
    told = _ACTIVATIONS[type(activation)]
    first = PackedLinear.of(before, dtype, stretch=told.stretch, activation=told)
    return nn.Sequential(first, PackedLinear.of(after, dtype, shrink=told.stretch))


def _is_plain(module: nn.Module) -> bool:
    return type(module) in (nn.Linear, QueryValueBias) and module.weight.dtype == torch.float32


def _is_plain_mlp(mlp: nn.Module) -> bool:
    if not isinstance(mlp, nn.Sequential) or len(mlp) != 3:
        return False
    before, activation, after = mlp
    exact = not isinstance(activation, nn.GELU) or activation.approximate == "none"
    return _is_plain(before) and _is_plain(after) and type(activation) in _ACTIVATIONS and exact
