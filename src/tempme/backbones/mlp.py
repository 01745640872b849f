"""The MLP of a block: two linear layers, and an activation between them."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from tempme.backbones.learning import Curve, learns_on_cpu, mlp

QUICK = 1.702


class QuickGELU(nn.Module):
    """The activation of OpenAI's weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return x * torch.sigmoid(QUICK * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}
_ops = torch.ops.aten
# x sigmoid(1.702 x), CLIP's, is the SiLU of 1.702 x over 1.702.
_CURVES = {
    QuickGELU: Curve(
        QUICK,
        lambda x, out: _ops.silu.out(x, out=out),
        lambda grad, x, out: _ops.silu_backward.grad_input(grad, x, grad_input=out),
    ),
    nn.GELU: Curve(
        1.0,
        lambda x, out: _ops.gelu.out(x, out=out),
        lambda grad, x, out: _ops.gelu_backward.grad_input(grad, x, grad_input=out),
    ),
}


class Mlp(nn.Sequential):
    """Four times as wide inside."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width),
                gelu=ACTIVATIONS[activation](),
                c_proj=nn.Linear(4 * width, width),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        before, activation, after = self
        if (
            type(before) is type(after) is nn.Linear  # what derives from it may be another function
            and type(activation) in _CURVES
            and getattr(activation, "approximate", "none") == "none"
            and learns_on_cpu(x, self.parameters())
        ):
            return mlp(x, before, _CURVES[type(activation)], after)
        made: Tensor = after(activation(before(x)))
        return made
