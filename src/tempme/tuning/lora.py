"""LoRA (Hu et al., ICLR 2022, arXiv 2106.09685), where the official TempMe has it.

Every attention of both towers has one low-rank pair on its fused query-key-value projection: A is
shared by queries, keys and values, B is not (491,520 parameters at rank 8 and ViT-B/32). There is
no division by the rank, no dropout and no bias; A starts Kaiming-uniform and B at zero, so that
training starts at CLIP, all of which is frozen. For inference B A is added to the projection: it
costs nothing. Hu et al. adapt queries and values by pairs of their own and scale by alpha / rank.
Code: LunarShen/TempMe e624930; its recipe is the default one of `training.Recipe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Foldable
from tempme.backbones.learning import learns_on_cpu, low_rank
from tempme.errors import BadSetting
from tempme.tuning.layers import blocks_of
from tempme.tuning.method import DeepTuning


class LoRALinear(Foldable):
    """base(x) + B A x, with B starting at zero so that training starts at the base."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out); the bias comes last, as in the official sum."""
        return self.rows(x, slice(None))

    def rows(self, x: Tensor, part: slice) -> Tensor:
        """(..., in) -> (..., as many of the numbers put out)."""
        weight, bias, up = self.base.weight[part], self.base.bias[part], self.up.weight[part]
        learning = self.down.weight, up
        if learns_on_cpu(x, (weight, bias, *learning)) and not weight.requires_grad:
            return low_rank(x, weight, *learning, bias, self.scale)
        update = linear(self.down(x), up)
        update = update if self.scale == 1 else self.scale * update
        updated = linear(x, weight) + update
        return updated + bias.to(updated.dtype)  # half where products are

    def inner(self) -> nn.Linear:
        """The projection without its update."""
        return self.base

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """The same function as one linear layer: no cost at inference."""
        self.base.weight += self.scale * (self.up.weight @ self.down.weight)
        return self.base


@dataclass(frozen=True)
class LoRA(DeepTuning):
    """One low-rank pair per attention of both towers.

    rank: numbers between A and B.
    alpha: the update counts alpha / rank times; None is the official scale of 1.
    """

    rank: int = 8
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise BadSetting(f"lora.rank is {self.rank}; it must be 1 or more")

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Wrap every qkv projection; all else is frozen."""
        backbone.requires_grad_(False)
        scale = 1.0 if self.alpha is None else self.alpha / self.rank
        for layer in (*blocks_of(backbone.vision)[self.vision_from :], *blocks_of(backbone.text)):
            layer.attn.add_module("qkv", LoRALinear(layer.attn.qkv, self.rank, scale))
        return backbone
