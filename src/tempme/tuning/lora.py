"""LoRA (Hu et al., 2022) on the fused query-key-value projection, as the official TempMe has it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tempme.clip.layers import Foldable
from tempme.clip.model import Clip
from tempme.errors import BadSetting
from tempme.tuning.method import Tuning


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
        update = self.up(self.down(x))
        update = update if self.scale == 1 else self.scale * update
        return linear(x, self.base.weight) + update + self.base.bias

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """The same function as one linear layer: no cost at inference."""
        self.base.weight += self.scale * (self.up.weight @ self.down.weight)
        return self.base


@dataclass(frozen=True)
class LoRA(Tuning):
    """One low-rank pair per attention of both towers; A is shared by queries, keys and values.

    `alpha` divides by the rank in the update; None is the official scale of 1. `vision_from` is the
    first image block that learns: later ones alone make a training step about twice as fast.
    """

    rank: int = 8
    alpha: float | None = None
    vision_from: int = 0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise BadSetting(f"lora.rank is {self.rank}; it must be 1 or more")

    def tune(self, clip: Clip, *, frames: int, words: int) -> Clip:  # noqa: ARG002
        """Wrap every qkv projection; all else is frozen."""
        clip.requires_grad_(False)
        scale = 1.0 if self.alpha is None else self.alpha / self.rank
        for layer in (*clip.vision.layers[self.vision_from :], *clip.text.layers):
            layer.attn.qkv = LoRALinear(layer.attn.qkv, self.rank, scale)
        return clip
