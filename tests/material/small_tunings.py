"""A model of three layers, and what goes into it."""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.backbones.config import ClipConfig

SMALL = ClipConfig(
    image_size=32,
    patch=16,
    width=16,
    layers=3,
    heads=2,
    text_width=16,
    text_layers=3,
    text_heads=2,
    embed=8,
    context=24,
    vocab=64,
)


def frames(videos: int = 2, count: int = 3) -> Tensor:
    return torch.randn(videos, count, 3, 32, 32, generator=torch.Generator().manual_seed(videos))


def ids() -> Tensor:
    return torch.tensor([[62, 4, 5, 6, 63], [62, 7, 63, 0, 0]])
