"""Systems of four layers, which take a few seconds to export."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from learning import moved
from tempme.backbones.config import ClipConfig
from tempme.retriever.retriever import Retriever
from tempme.systems import table

FRAMES, SIZE = 6, 64
SMALL = ClipConfig(
    image_size=SIZE,
    patch=16,
    width=32,
    layers=4,
    heads=4,
    text_width=32,
    text_layers=2,
    text_heads=4,
    embed=16,
    context=16,
)
TEXTS = ["a dog", "two red cars drive over a bridge, then one stops", ""]


@cache
def small(name: str) -> Retriever:
    """A row of the table with everything that learns moved off its start."""
    row = replace(table.system(name, backbone=SMALL), frames=FRAMES, max_words=12)
    return moved(Retriever.build(row, None, seed=0))


def pixels(count: int, frames: int = FRAMES) -> np.ndarray:
    """uint8 (count, frames, 64, 64, 3): scenes that flicker."""
    generator = np.random.default_rng(count)
    scene = generator.integers(0, 256, (count, 1, SIZE, SIZE, 3))
    noise = generator.integers(-40, 40, (count, frames, SIZE, SIZE, 3))
    return (scene + noise).clip(0, 255).astype(np.uint8)
