"""A small CLIP's worth of random weights, for tests of files that hold them."""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.backbones.config import ClipConfig
from tempme.weights.sizes import expected_shapes

SMALL = ClipConfig(
    image_size=32,
    patch=16,
    width=64,
    layers=2,
    heads=1,
    text_width=128,
    text_layers=3,
    text_heads=2,
    embed=24,
    context=12,
    vocab=50,
    activation="gelu",
)


def random_state(config: ClipConfig = SMALL, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights exact in fp16, so that every container can hold them without loss."""
    generator = torch.Generator().manual_seed(seed)
    shapes = expected_shapes(config)
    return {
        name: torch.randn(shape, generator=generator).half().float()
        for name, shape in shapes.items()
    }


def assert_same(given: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        assert given[name].dtype == torch.float32
        assert given[name].is_contiguous()
        assert torch.equal(given[name], value), name
