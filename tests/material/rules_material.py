"""Rules that follow the content, and a small model for them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tempme.backbones.config import ClipConfig
from tempme.compression import (
    DTEM,
    EVS,
    RLT,
    Aligned,
    Average,
    Compression,
    EarlyTom,
    PiToMe,
    TempMe,
)
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.tokens import Tokens
from tempme.tuning import LoRA

TINY = ClipConfig(
    image_size=28, patch=4, width=32, layers=12, heads=2, text_width=16, text_layers=1,
    text_heads=2, embed=16, vocab=600,
)  # fmt: skip
RULES: dict[str, Compression] = {
    "evs": EVS(r=0, joins={}, keep=0.5),
    "evs that merges": EVS(r=2, joins={}, keep=0.6),
    "tempme-evs": EVS(keep=0.6),
    "rlt-share": RLT(r=0, joins={}, keep=0.5),
    "rlt-size": RLT(r=0, keep_cross=1, keep_intra=1),
    "rlt-size at once": RLT(r=0, keep=0.3, at_once=True, keep_cross=1, keep_intra=1),
    "tempme-rlt": RLT(keep=0.6, halves=True),
    "tempme-aligned": Aligned(),
    "aligned wherever": Aligned(still=-1, halves=True),
    "tempme-average": Average(),
    "earlytom": EarlyTom(),
    "dtem": DTEM(r=3),
    "pitome": PiToMe(r=3),
    "tempme-halves": TempMe(halves=True),
}


def build(method: Compression, frames: int = 4, *, layers: int = 12) -> Retriever:
    backbone = replace(TINY, layers=layers)
    return Retriever.build(
        System("x", LoRA(rank=2), method, backbone=backbone, frames=frames, max_words=8),
        None,
        seed=1,
    )


def pictures(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, TINY.image_size, TINY.image_size)


def through(retriever: Retriever, frames: Tensor) -> list[Tokens]:
    """Tokens after every block, each run whole."""
    tokens, after = retriever.backbone.vision.embed(frames), []
    for layer in retriever.backbone.vision.layers:
        tokens = layer(tokens)
        after.append(tokens)
    return after
