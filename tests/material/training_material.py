"""A tiny retriever and random batches to train it with; run as a script, it trains and saves."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tempme.backbones.config import ClipConfig
from tempme.backbones.tokenizer import Tokenizer
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.training import Batch, Devices, Recipe, fit
from tempme.training.batches import share

CAPTIONS = ["a red circle", "a blue star", "a green moon on sand", "two yellow hearts"]
TINY = ClipConfig(
    image_size=32,
    patch=16,
    width=16,
    layers=12,
    heads=2,
    text_width=16,
    text_layers=2,
    text_heads=2,
    embed=8,
    context=16,
    activation="gelu",
)
RECIPE = Recipe(steps=4, batch=4, learning_rate=1e-2, precision="fp32", save_every=2)


class CutOff(Exception):
    """The end of a run before its time."""


class Drawn:
    """Random frames, a function of the step alone; `until` is where the run is cut off."""

    def __init__(self, until: int = 100) -> None:
        self.until = until
        self.asked: list[int] = []

    def part(self, step: int, rank: int, world: int) -> Batch:
        if step >= self.until:
            raise CutOff
        self.asked.append(step)
        pixels = np.random.default_rng(step).integers(0, 256, (4, 2, 32, 32, 3), dtype=np.uint8)
        own = share(4, rank, world)
        return Batch(pixels[own], CAPTIONS[own], CAPTIONS[::-1][own], [0, 1, 2, 2][own])


def retriever(name: str = "tempme") -> Retriever:
    words = Tokenizer.of_words(CAPTIONS, context=TINY.context)
    row = system(name, backbone=replace(TINY, vocab=words.vocab), frames=2)
    return Retriever.build(row, None, tokenizer=words, seed=0)


def learnt(trained: Retriever) -> dict[str, torch.Tensor]:
    return {name: p for name, p in trained.named_parameters() if p.requires_grad}


def main(name: str, folder: str, devices: int, until: int, **changes: Any) -> None:
    recipe = replace(RECIPE, paraphrase=0.5, **changes)
    fitted = fit(
        retriever(name),
        Drawn(until),
        recipe,
        folder=Path(folder),
        devices=Devices(devices, accelerator="cpu"),
        show_progress=False,
    )
    if fitted.is_main:
        ends = learnt(fitted.retriever)
        state = {
            "losses": fitted.history.losses,
            "learnt": ends,
            "gradients": {name: p.grad for name, p in ends.items() if p.grad is not None},
        }
        torch.save(state, Path(folder) / "end.pt")


if __name__ == "__main__":
    _, given_name, given_folder, given_devices, given_until, *rest = sys.argv
    main(
        given_name,
        given_folder,
        int(given_devices),
        int(given_until),
        **({"same_video_negatives": False} if "others" in rest else {}),
        **({"steps": 1} if "once" in rest else {}),
        **({"micro_batch": 1} if "pieces" in rest else {}),
        **({"checkpoint_layers": True} if "layers" in rest else {}),
    )
