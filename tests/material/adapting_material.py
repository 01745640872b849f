"""A tiny dense model as a folder, and videos to adapt it to; run as a script, it adapts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from index_material import COLOURS, write_video
from tempme.adapting.run import adapt
from tempme.adapting.settings import Adapting
from tempme.backbones.bytepair import VOCAB
from tempme.backbones.tokenizer import Tokenizer
from tempme.exporting.merged import merged
from tempme.index.confidence import phrase_lists
from tempme.index.header import Cutting
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from training_material import TINY

CUTTING = Cutting(every_seconds=0.5, overlap=0.5, sampling="exact", fit="squash")
SMALL = Adapting(
    "tempme", 0.6, windows=24, steps=6, batch=4, validate_every=2, save_every=1, cutting=CUTTING
)


def dense_folder(folder: Path, name: str = "lora") -> Path:
    """A saved retriever that knows the words of the phrases about scenes."""
    words = Tokenizer.of_words(phrase_lists()[1], context=TINY.context)
    sizes = replace(TINY, vocab=words.vocab, width=32, heads=2, patch=8)
    made = Retriever.build(
        system(name, backbone=sizes, frames=4, max_words=12), None, tokenizer=words, seed=3
    )
    return made.save(folder)


def plain_weights(path: Path) -> Path:
    """A file of weights of a tiny CLIP, which knows no system."""
    sizes = replace(TINY, width=64, heads=1, patch=8, text_width=64, text_heads=1, vocab=VOCAB)
    made = Retriever.build(system("clip4clip", backbone=sizes), None, seed=4)
    torch.save(merged(made.parts, "openai"), path)
    return path


def films(folder: Path, count: int = 6) -> Path:
    """Videos of some colours each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(COLOURS)
    for number in range(count):
        shown = [names[(number + turn * (1 + number % 3)) % len(names)] for turn in range(4)]
        write_video(folder / f"film-{number}.mp4", shown)
    return folder


if __name__ == "__main__":
    _, given_films, given_model, given_out, given_steps = sys.argv
    adapt(given_films, given_model, given_out, replace(SMALL, steps=int(given_steps)))
