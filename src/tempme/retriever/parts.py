"""The law of the order: load, tune, compress. (Pooling comes last, in `encode_videos`.)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from tempme.backbones.clip import Clip
from tempme.backbones.tokenizer import Tokenizer
from tempme.retriever.retriever import Retriever
from tempme.systems.table import System

if TYPE_CHECKING:
    from tempme.backbones.layers import Layer
    from tempme.weights.read import Weights


@dataclass(frozen=True)
class Backbone:
    """A CLIP before tuning, and where it is from; `tag` names published weights."""

    clip: Clip
    tokenizer: Tokenizer
    origin: str
    tag: str | None = None


def from_weights(weights: Weights, *, tag: str | None = None) -> Backbone:
    """The backbone that published weights make."""
    clip = Clip(weights.config).load_openai(weights.state)
    return Backbone(clip, Tokenizer(context=weights.config.context), weights.origin, tag)


def at_random(system: System, tokenizer: Tokenizer | None, *, seed: int | None) -> Backbone:
    """A backbone that knows nothing, with as many words as the tokenizer."""
    config = system.config
    if tokenizer is not None:
        config = replace(config, vocab=tokenizer.vocab)
    with _seeded(seed):
        clip = Clip(config)
    return Backbone(clip, tokenizer or Tokenizer(context=config.context), "random")


def assemble(system: System, clip: Clip) -> Clip:
    """Tune, then compress: compressed layers are around tuned ones."""
    system.tuning.tune(clip, frames=system.frames, words=system.max_words)
    layers = cast("Iterable[Layer]", clip.vision.layers)
    clip.vision.layers = nn.ModuleList(
        system.compression.wrap(layer, step, clip.config.width)
        for layer, step in zip(layers, system.plan(), strict=True)
    )
    return clip


def retriever_of(system: System, backbone: Backbone, *, seed: int | None = None) -> Retriever:
    """The retriever of a system on a backbone; the system takes the backbone's sizes."""
    config = backbone.clip.config
    if config != system.config:
        words = min(system.max_words, config.context - system.tuning.text_rows)
        system = replace(system, backbone=config, max_words=words)
    with _seeded(seed):
        clip = assemble(system, backbone.clip)
    return Retriever(
        system, clip, backbone.tokenizer, origin=backbone.origin, base=backbone.tag
    ).eval()


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Random numbers of `seed` inside, untouched ones outside; None leaves all as it is."""
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield
