"""The text side of a retriever as `Words`, where it is CLIP's own once all is folded."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from tempme.backbones.clip import Clip
from tempme.backbones.layers import Block, fold
from tempme.backbones.mlp import ACTIVATIONS
from tempme.backbones.packed import packable
from tempme.backbones.text import TextRows, TextTower
from tempme.backbones.tokenizer import Tokenizer
from tempme.backbones.words import Words
from tempme.retriever.parts import Parts


@torch.no_grad()
def words_of(parts: Parts) -> Words | None:
    """The text encoder; None where a tuning left more in it than CLIP has (prompts, adapters)."""
    if any(value.is_meta for value in parts.backbone.state_dict().values()):
        return None  # of an export the engine alone has them
    if not isinstance(parts.backbone, Clip) or not isinstance(parts.tokenizer, Tokenizer):
        return None
    text = fold(_apart(parts.backbone.text))
    if not isinstance(text, TextTower) or not _is_plain(text):
        return None
    block = cast("Block", text.layers[0])
    activations = {made: name for name, made in ACTIVATIONS.items()}
    return Words(
        arrays={name: value.float().cpu().numpy() for name, value in text.state_dict().items()},
        tokenizer=parts.tokenizer,
        heads=block.attn.heads,
        activation=activations[type(block.mlp.get_submodule("gelu"))],
        max_words=parts.system.max_words,
    )


def _apart(text: TextTower) -> TextTower:
    """A copy that can be folded; what folding leaves as it is, nearly all, is not copied."""
    left = [linear.weight for linear in packable(text)]
    left += [part.weight for part in text.modules() if isinstance(part, nn.Embedding)]
    return copy.deepcopy(text, {id(weight): weight for weight in left})


def _is_plain(text: TextTower) -> bool:
    """Whether all layers have the parts of a new one, of the same kinds, and no others."""
    if type(text.line) is not TextRows:
        return False
    plain = [_kinds(Block(8, 2, activation)) for activation in ACTIVATIONS]
    first = _kinds(text.layers[0])
    return first in plain and all(_kinds(layer) == first for layer in text.layers)


def _kinds(layer: nn.Module) -> dict[str, type[nn.Module]]:
    return {name: type(part) for name, part in layer.named_modules()}
