"""Linear layers and MLPs on a CPU where gradients are needed: quicker, and with less kept.

Products are oneDNN's, whose fp32 is a tenth faster than the BLAS behind `F.linear` on an AMD EPYC
(other processors were not measured). An MLP goes through in pieces of rows, so that what is between
its two products lies in a cache, and keeps what enters its activation alone: neither what comes out
nor factors of its slope. Weights are rounded anew for the way back under autocast, rather than kept
rounded. All gradients are those of the plain layers, but for the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Shape letters: R rows, I numbers put in, H hidden, O numbers put out, r rank.

PIECE = 1024  # rows of an MLP at a time
_TYPES = (torch.float32, torch.bfloat16)


class Curve(NamedTuple):
    """An activation as a curve of PyTorch's: activation(x) = curve(stretch x) / stretch."""

    stretch: float
    write: Callable[[Tensor, Tensor], object]  # x, and where its values go
    write_back: Callable[[Tensor, Tensor, Tensor], object]  # gradient, x, where that of x goes


def learns_on_cpu(x: Tensor, parameters: Iterable[Tensor | None]) -> bool:
    """Whether what is computed of `x` needs gradients and can be computed here, eagerly."""
    some = [x, *(one for one in parameters if one is not None)]
    return (
        torch.is_grad_enabled()
        and any(one.requires_grad for one in some)
        and all(one.device.type == "cpu" and one.dtype in _TYPES for one in some)
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and _computed_in(x) in _known_types()
        and not torch.compiler.is_compiling()
    )


def product(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """(..., I) -> (..., O): `F.linear` where `learns_on_cpu`."""
    made: Tensor = _Product.apply(x, weight_OI, bias_O, _computed_in(x))  # type: ignore[no-untyped-call]
    return made


def low_rank(
    x: Tensor, weight_OI: Tensor, down_rI: Tensor, up_Or: Tensor, bias_O: Tensor, scale: float
) -> Tensor:
    """(..., I) -> (..., O): a frozen layer and the update scale B A, where `learns_on_cpu`."""
    given = x, weight_OI, down_rI, up_Or, bias_O, scale, _computed_in(x)
    made: Tensor = _LowRank.apply(*given)  # type: ignore[no-untyped-call]
    return made


def mlp(x: Tensor, before: nn.Linear, curve: Curve, after: nn.Linear) -> Tensor:
    """(..., I) -> (..., O): two layers and the activation between, where `learns_on_cpu`."""
    given = before.weight, before.bias, after.weight, after.bias, curve, _computed_in(x)
    made: Tensor = _Mlp.apply(x, *given)  # type: ignore[no-untyped-call]
    return made


def _computed_in(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _known_types() -> Sequence[torch.dtype]:
    return _TYPES if torch.ops.mkldnn._is_mkldnn_bf16_supported() else _TYPES[:1]


def _times(x_RI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """(R, I) -> (R, O) in the type of `x_RI`; the weight may be a transposed view."""
    dtype = x_RI.dtype
    bias = None if bias_O is None else bias_O.to(dtype)
    made: Tensor = torch.ops.mkldnn._linear_pointwise(
        x_RI, weight_OI.to(dtype), bias, "none", [], ""
    )
    return made


def _rows(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.reshape(-1, x.shape[-1]).to(dtype)


class _Product(torch.autograd.Function):
    """Of a frozen weight nothing of `x` is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        x_RI = _rows(x, dtype)
        ctx.save_for_backward(x_RI if weight.requires_grad else None, weight)
        ctx.dtype, ctx.shape = x.dtype, x.shape
        return _times(x_RI, weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_RI, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        g_RO = _rows(grad, grad.dtype)
        with torch.autocast("cpu", enabled=False):
            return (
                _times(g_RO, weight.T).view(ctx.shape).to(ctx.dtype) if for_x else None,
                (g_RO.T @ x_RI).to(weight.dtype) if for_weight else None,
                g_RO.sum(0, dtype=weight.dtype) if for_bias else None,
                None,
            )


class _LowRank(torch.autograd.Function):
    """In fp32 the update is part of the weight; rounded, the weight would lose it."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        down: Tensor,
        up: Tensor,
        bias: Tensor,
        scale: float,
        dtype: torch.dtype,
    ) -> Tensor:
        x_RI = _rows(x, dtype)
        ctx.save_for_backward(x_RI, weight, down, up)
        ctx.scale, ctx.dtype, ctx.shape = scale, x.dtype, x.shape
        with torch.autocast("cpu", enabled=False):
            if dtype == torch.float32:
                y = _times(x_RI, torch.addmm(weight, up, down, alpha=scale), bias)
            else:
                y = _times(x_RI, weight, bias)
                y.addmm_(_times(x_RI, down), up.T.to(dtype), alpha=scale)
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_RI, weight, down, up = ctx.saved_tensors
        g_RO = _rows(grad, grad.dtype)
        with torch.autocast("cpu", enabled=False):
            narrow_Rr = _times(g_RO, up.T.contiguous()).mul_(ctx.scale)
            of_down = narrow_Rr.T @ x_RI
            of_up = (_times(x_RI, down).T @ g_RO).T.mul(ctx.scale)
            of_x = None
            if ctx.needs_input_grad[0]:
                of_x = _times(g_RO, weight.T).addmm_(narrow_Rr, down.to(g_RO.dtype))
                of_x = of_x.view(ctx.shape).to(ctx.dtype)
            of_bias = g_RO.sum(0, dtype=up.dtype) if ctx.needs_input_grad[4] else None
        return of_x, None, of_down.to(down.dtype), of_up.to(up.dtype), of_bias, None, None


class _Mlp(torch.autograd.Function):
    """y = W2 curve(stretch (W1 x + b1)) / stretch + b2; factors are where least is to multiply.

    On the way back they cancel out, but for that of W2.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
        curve: Curve,
        dtype: torch.dtype,
    ) -> Tensor:
        stretch = curve.stretch
        first, bias = w1.to(dtype), b1 * stretch
        second = (w2 / stretch if stretch != 1 else w2).to(dtype)
        kept, made = [], []
        for piece in _rows(x, x.dtype).split(PIECE):
            stretched = piece * stretch if stretch != 1 else piece
            kept.append(hidden := _times(stretched.to(dtype), first, bias))
            curve.write(hidden, between := torch.empty_like(hidden))
            made.append(_times(between, second, b2))
        ctx.save_for_backward(_rows(x, dtype) if w1.requires_grad else None, w1, w2, *kept)
        ctx.curve, ctx.dtype, ctx.shape = curve, x.dtype, x.shape
        return torch.cat(made).view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_RI, w1, w2, *kept = ctx.saved_tensors
        _, for_w1, for_b1, for_w2, for_b2, *_ = ctx.needs_input_grad
        g_RO = _rows(grad, grad.dtype)
        first, second = w1.T.to(g_RO.dtype), w2.T.to(g_RO.dtype)
        whole = len(g_RO), len(w1)
        of_hidden = g_RO.new_empty(whole if for_w1 or for_b1 else 0)
        between = g_RO.new_empty(whole if for_w2 else 0)
        of_x, begin = [], 0
        with torch.autocast("cpu", enabled=False):
            for hidden in kept:
                part = slice(begin, begin := begin + len(hidden))
                back = _times(g_RO[part], second)
                out = of_hidden[part] if for_w1 or for_b1 else back
                ctx.curve.write_back(back, hidden, out)
                of_x.append(_times(out, first))
                if for_w2:
                    ctx.curve.write(hidden, between[part])
            return (
                torch.cat(of_x).view(ctx.shape).to(ctx.dtype),
                (of_hidden.T @ x_RI).to(w1.dtype) if for_w1 else None,
                of_hidden.sum(0, dtype=w1.dtype) if for_b1 else None,
                (g_RO.T @ between).to(w2.dtype).div_(ctx.curve.stretch) if for_w2 else None,
                g_RO.sum(0, dtype=w2.dtype) if for_b2 else None,
                None,
                None,
            )
