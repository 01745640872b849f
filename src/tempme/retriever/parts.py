"""What a retriever is made of: a system, and a backbone tuned and compressed as it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tempme.backbones.backbone import Backbone, made_of, seeing_as
from tempme.backbones.clip import Clip
from tempme.backbones.tokenizer import Tokenizer
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.backbones.undrawn import Undrawn
from tempme.backbones.vocabularies import AnyTokenizer, no_words
from tempme.errors import BadWeights
from tempme.pooling import SequencePooling
from tempme.systems.assembly import assemble
from tempme.systems.system import System
from tempme.weights.clip4clip import SEQUENCE_ROW
from tempme.weights.fit import misfit
from tempme.weights.read import Weights
from tempme.weights.umt_release import UmtWeights
from tempme.weights.words import check_count


@dataclass(frozen=True)
class Untuned:
    """A backbone before tuning, and where it is from; `tag` names published weights."""

    backbone: Backbone
    tokenizer: AnyTokenizer
    origin: str
    tag: str | None = None
    head: Mapping[str, Tensor] = field(default_factory=dict)  # of CLIP4Clip's seqTransf


@dataclass(frozen=True)
class Parts:
    """What is saved, loaded, described and pushed.

    origin: where the weights come from, for a person. base: the published tag that holds what did
    not learn; None where only these parts hold it.
    """

    system: System
    backbone: Backbone
    tokenizer: AnyTokenizer
    origin: str
    base: str | None = None


def from_weights(weights: Weights, *, tag: str | None = None) -> Untuned:
    """The backbone that published weights make, which are moved out of `weights`.

    BadWeights where its words are not CLIP's.
    """
    check_count(weights.config.vocab, weights.origin)
    with Undrawn():
        backbone = Clip(weights.config)
    backbone.load_openai(weights.state)
    return Untuned(
        backbone, Tokenizer(context=weights.config.context), weights.origin, tag, weights.head
    )


def from_umt(weights: UmtWeights, tokenizer: WordPiece) -> Untuned:
    """The backbone that published weights of UMT make; BadWeights where its words are others."""
    if tokenizer.vocab > weights.config.vocab:
        raise BadWeights(
            f"{weights.origin} knows {weights.config.vocab:,} pieces of words, the vocabulary "
            f"{tokenizer.vocab:,}: they are not of one model"
        )
    backbone = Umt(weights.config)
    backbone.load_state_dict(weights.state)
    return Untuned(backbone, tokenizer, weights.origin)


def at_random(system: System, tokenizer: AnyTokenizer | None, *, seed: int | None) -> Untuned:
    """A backbone that knows nothing, with as many words as the tokenizer."""
    config = system.config
    if tokenizer is not None:
        config = replace(config, vocab=tokenizer.vocab)
    with seeded(seed):
        backbone = made_of(config)
    return Untuned(backbone, tokenizer or no_words(config), "random")


def undrawn(system: System) -> Backbone:
    """The backbone of a system, tuned and compressed, whose weights are all to be read."""
    with Undrawn():
        return assembled(system, made_of(system.config))


def untrained(system: System, untuned: Untuned, *, seed: int | None = None) -> Parts:
    """The parts of a system on a backbone; the system takes the backbone's sizes.

    seed: makes what starts at random repeatable; None draws on the caller's generator.
    """
    started = seeing_as(untuned.backbone, system.config)
    config = started.config
    if config != system.config:
        words = min(system.max_words, config.context - system.tuning.text_rows)
        system = replace(system, backbone=config, max_words=words)
    with seeded(seed):
        backbone = assembled(system, started)
    if untuned.head:
        _take_head(backbone, untuned, system)
    return Parts(system, backbone, untuned.tokenizer, untuned.origin, untuned.tag)


def _take_head(backbone: Backbone, untuned: Untuned, system: System) -> None:
    """Put what relates frames in its place; BadWeights where the system has no such place."""
    if not (isinstance(system.pooling, SequencePooling) and isinstance(backbone, Clip)):
        raise BadWeights(
            f"{untuned.origin} is a CLIP4Clip with the head seqTransf, which {system.name} would "
            f"lose: load it as {SEQUENCE_ROW}"
        )
    place = backbone.vision.temporal
    shapes = {name: tuple(value.shape) for name, value in place.state_dict().items()}
    if wrong := misfit(shapes, untuned.head):
        raise BadWeights(
            f"the head seqTransf of {untuned.origin} does not fit {system.pooling.layers} layers "
            f"of {backbone.config.embed}: {wrong}"
        )
    place.load_state_dict(dict(untuned.head))


def assembled(system: System, backbone: Backbone) -> Backbone:
    """The backbone, tuned and compressed in place as the system says."""
    return assemble(
        backbone,
        system.tuning,
        system.compression,
        system.plan(),
        frames=system.frames,
        words=system.max_words,
        pooling=system.pooling,
    )


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Random numbers of `seed` inside, untouched ones outside; None leaves all as it is."""
    if seed is None:
        yield
    elif torch.get_default_device().type == "cpu":
        # torch.manual_seed notes the stack for every kind of accelerator: a millisecond each time
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
