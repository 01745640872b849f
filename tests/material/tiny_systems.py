"""Every row of the table on a tiny model of twelve layers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from learning import moved
from tempme.backbones.config import ClipConfig
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

TINY = ClipConfig(
    image_size=80,
    patch=16,
    width=32,
    heads=4,
    text_width=32,
    text_layers=12,  # as many as images have: some tunings couple the towers
    text_heads=4,
    embed=16,
    context=16,
    vocab=64,
)


@cache
def tiny(name: str) -> Retriever:
    """The system with everything that learns moved off its start, so that it has an effect."""
    return moved(
        Retriever.build(zoo.system(name, backbone=TINY), None, seed=0),
    )


def videos(count: int = 2, frames: int = 12, size: int = 80) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    scene = torch.randn(count, 1, 3, size, size, generator=generator)
    return 0.7 * scene + 0.5 * torch.randn(count, frames, 3, size, size, generator=generator)


def texts(count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    ids = torch.randint(1, 60, (count, 8), generator=generator)
    ids[:, 0], ids[:, -1] = 62, 63
    return ids
