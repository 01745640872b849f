"""CLIP's text encoder."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tempme.backbones.config import ClipConfig
from tempme.backbones.layers import Block
from tempme.errors import BadSetting
from tempme.tokens import Tokens

# Shape letters: T texts, W words, D width.


class TextRows(nn.Module):
    """How words become the rows of a text: one after the other.

    A tuning that puts prompts around the words takes this module's place (`TextTower.line`).
    """

    def forward(
        self, words_TWD: Tensor, ends_T: Tensor, places_RD: Tensor
    ) -> tuple[Tokens, Tensor]:
        """Embedded words, the place of their end, and positions -> rows, and where they end."""
        return text_of(words_TWD + places_RD[: words_TWD.shape[1]]), ends_T


def text_of(x_TWD: Tensor) -> Tokens:
    """Rows of texts as Tokens: a text is a clip of its own, led by the start of text."""
    return Tokens(x_TWD, size_CN1=None, clips_per_video=1, causal=True)


class TextTower(nn.Module):
    """Words, a stack of causal layers, and a projection of the end-of-text word."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.context = config.context
        self.token_embedding = nn.Embedding(config.vocab, width)
        self.position_embedding = nn.Parameter(0.01 * torch.randn(config.context, width))
        self.line: nn.Module = TextRows()
        self.layers: nn.ModuleList = nn.ModuleList(
            Block(width, config.text_heads, config.activation) for _ in range(config.text_layers)
        )
        self.ln_final = nn.LayerNorm(width)
        self.projection = nn.Parameter(width**-0.5 * torch.randn(width, config.embed))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def entering(self) -> Iterator[nn.Parameter]:
        """All that stands before the first layer."""
        yield self.position_embedding
        yield from self.token_embedding.parameters()

    def embed(self, ids_TW: Tensor) -> tuple[Tokens, Tensor]:
        """(T, W) ids -> the rows of the texts, and the row in which each ends."""
        if ids_TW.shape[1] > self.context:
            raise BadSetting(
                f"texts of {ids_TW.shape[1]} words, but the text encoder sees {self.context}: "
                f"cut them (Tokenizer does)"
            )
        return self.line(
            self.token_embedding(ids_TW), ids_TW.argmax(dim=1), self.position_embedding
        )

    def forward(self, ids_TW: Tensor) -> Tensor:
        """(T, W) ids, end of text the largest id of each row -> (T, embed), not normalised.

        Words see only what stands before them, so what follows the end of text is cut off.
        """
        tokens, ends = self.embed(ids_TW)
        for layer in self.layers:
            tokens = layer(tokens)
        x = tokens.x_CND
        x = x[torch.arange(len(x), device=x.device), ends]
        return self.ln_final(x) @ self.projection
