"""Layers that see prompts, and parts that both towers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar, cast

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Around, Block, Cues, Layer
from tempme.backbones.text import TextTower
from tempme.backbones.umt.bert import Bert
from tempme.backbones.umt.vision import VideoEncoder
from tempme.backbones.vision import VisionTower
from tempme.tokens import Tokens

L = TypeVar("L", bound=Layer)
M = TypeVar("M", bound=nn.Module)
Tower: TypeAlias = VisionTower | TextTower | VideoEncoder | Bert

# Shape letters: M prompts, D width.


def layers_of(tower: Tower) -> list[Layer]:
    """The layers of a tower, as what they are: torch knows only modules."""
    return cast("list[Layer]", list(tower.layers))


def blocks_of(tower: Tower) -> list[Block]:
    """The layers of a tower that nothing has wrapped: each has an `attn` and an `mlp`."""
    return cast("list[Block]", list(tower.layers))


class Prompts(nn.Module):
    """Prompts that are themselves what learns."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    @classmethod
    def at_random(cls, *shape: int, std: float = 0.02) -> Prompts:
        """Normal, around zero."""
        return cls(std * torch.randn(*shape))

    def forward(self) -> Tensor:
        """(M, D), or one such for every frame."""
        return self.value


class Preceded(Around[Layer]):
    """A layer, and what happens to tokens before its attention."""

    def before(self, tokens: Tokens) -> Tokens:
        """What the layer inside attends over."""
        raise NotImplementedError

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention of the layer inside."""
        return self.layer.attend(self.before(tokens))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """What is left of the layer inside when it is the last."""
        return self.layer.finish_protected(self.before(tokens))


class Prompted(Preceded):
    """A layer whose attention sees prompts of its own, which are gone after it.

    Outputs equal those of prompts that go through the block and are replaced before the next one:
    nothing ever reads what became of them. Only their keys and values are computed, once for all
    frames.
    """

    def __init__(self, layer: Layer, prompts: nn.Module) -> None:
        super().__init__(layer)
        self.prompts = prompts

    def before(self, tokens: Tokens) -> Tokens:
        """The tokens with the prompts beside them."""
        return tokens.seeing(self.prompts())


def wrapped(
    layers: Sequence[L], wrap: Callable[[int, L], nn.Module], *, first: int = 0
) -> nn.ModuleList:
    """The layers, what `wrap` makes of number and layer in the place of those from `first` on."""
    return nn.ModuleList(wrap(i, layer) if i >= first else layer for i, layer in enumerate(layers))


def prompted(layers: Sequence[Layer], prompts: int, width: int, *, first: int = 0) -> nn.ModuleList:
    """Every layer from `first` on with `prompts` prompts of its own."""
    return wrapped(
        layers, lambda _, layer: Prompted(layer, Prompts.at_random(prompts, width)), first=first
    )


class Borrowed(Generic[M]):
    """A module that is used here, but owned (saved, counted, moved) by another one."""

    def __init__(self, module: M) -> None:
        self.module = module
