"""Retrievers from the weights of the official TempMe release, or OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from tempme.backbones.clip import Clip
from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.backbones.layers import Block, Layer
from tempme.compression import Compression
from tempme.errors import BadWeights
from tempme.retriever.parts import from_weights, untrained
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.tuning import LoRA
from tempme.weights.read import read_weights
from tempme.weights.tempme_release import OfficialParts, split_official


def from_official(
    source: str | Path | Mapping[str, Tensor],
    *,
    compression: Compression | None = None,
    frames: int | None = None,
) -> Retriever:
    """A retriever from weights under the names of the official TempMe release, or OpenAI's.

    frames: as trained, read off the clip positions if None (12 where there are none).
    compression: TempMe with the paper's settings for the patch size if None. LoRA has scale 1.
    """
    parts = split_official(source)
    weights = read_weights(parts.state, activation="quick_gelu")
    if frames is None:
        frames = len(parts.positions[min(parts.positions)]) if parts.positions else 12
    row = system("tempme", backbone=_paper_backbone(weights.config))
    rank = len(next(iter(parts.lora.values()))[0]) if parts.lora else 8
    made = replace(
        row,
        backbone=weights.config,
        tuning=LoRA(rank=rank),
        compression=compression or row.compression,
        frames=frames,
        max_words=min(row.max_words, weights.config.context),
    )
    # What the release does not hold starts at random: the same in every process, so that the
    # fingerprint is.
    retriever = Retriever(untrained(made, from_weights(weights), seed=0)).eval()
    _take_learnt(cast("Clip", retriever.backbone), parts, frames=frames)
    return retriever


@torch.no_grad()
def _take_learnt(clip: Clip, parts: OfficialParts, *, frames: int) -> None:
    for (tower, block), (down, up) in parts.lora.items():
        layers = clip.vision.layers if tower == "visual" else clip.text.layers
        qkv: Any = cast("Block", cast("Layer", layers[block]).inner()).attn.qkv
        qkv.down.weight.copy_(down)
        qkv.up.weight.copy_(up)
    for block, place in parts.positions.items():
        own = getattr(clip.vision.layers[block], "clip_position", None)
        if own is None:
            continue  # nothing merges in that block, where the official code adds none
        if own.shape != place.shape:
            raise BadWeights(
                f"positions of block {block} are for {len(place)} clips, but {frames} frames "
                f"make {len(own)} there: give the frames and joins it was trained with"
            )
        own.copy_(place)


def _paper_backbone(config: ClipConfig) -> str:
    return "ViT-B/16" if config.patch == BACKBONES["ViT-B/16"].patch else "ViT-B/32"
