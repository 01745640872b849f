"""Rows of UMT on a tiny model of twelve layers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from learning import moved
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

TINY_UMT = UmtConfig(
    image_size=96,
    patch=16,
    width=32,
    heads=4,
    text_width=32,
    text_heads=4,
    embed=16,
    context=16,
    vocab=64,
)
WORDS = WordPiece.of_words(
    ["a red dog runs to the left of blue cats", "what colour is it"], context=16
)


@cache
def tiny_umt(name: str) -> Retriever:
    """The system with everything that learns moved off its start, so that it has an effect."""
    row = zoo.system(name, backbone=TINY_UMT)
    return moved(Retriever.build(row, None, tokenizer=WORDS, seed=0), by=0.02)


def umt_videos(count: int = 2, frames: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    scene = torch.randn(count, 1, 3, 96, 96, generator=generator)
    return 0.7 * scene + 0.5 * torch.randn(count, frames, 3, 96, 96, generator=generator)
