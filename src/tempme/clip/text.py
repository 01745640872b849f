"""CLIP's text encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tempme.clip.config import ClipConfig
from tempme.clip.layers import Block, causal_block
from tempme.errors import BadSetting

# Shape letters: T texts, W words, D width.


class TextTower(nn.Module):
    """Words, a stack of causal layers, and a projection of the end-of-text word."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.context = config.context
        self.token_embedding = nn.Embedding(config.vocab, width)
        self.position_embedding = nn.Parameter(0.01 * torch.randn(config.context, width))
        self.layers = nn.ModuleList(
            Block(width, config.text_heads, config.activation) for _ in range(config.text_layers)
        )
        self.ln_final = nn.LayerNorm(width)
        self.projection = nn.Parameter(width**-0.5 * torch.randn(width, config.embed))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def embed(self, ids_TW: Tensor) -> Tensor:
        """(T, W) ids -> (T, W, D)."""
        if ids_TW.shape[1] > self.context:
            raise BadSetting(
                f"texts of {ids_TW.shape[1]} words, but the text encoder sees {self.context}: "
                f"cut them (Tokenizer does)"
            )
        return self.token_embedding(ids_TW) + self.position_embedding[: ids_TW.shape[1]]

    def forward(self, ids_TW: Tensor) -> Tensor:
        """(T, W) ids, end of text the largest id of each row -> (T, embed), not normalised.

        Words see only what stands before them, so what follows the end of text is cut off.
        """
        ends = ids_TW.argmax(dim=1)
        x = self.embed(ids_TW)
        for layer in self.layers:
            x = causal_block(layer, x)
        x = x[torch.arange(len(x), device=x.device), ends]
        return self.ln_final(x) @ self.projection
