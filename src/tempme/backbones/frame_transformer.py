"""Features of frames that see each other: CLIP4Clip's seqTransf (Luo et al., 2021, section 3.3).

Learnt positions are added to the features of frames, which pass some transformer blocks as wide
as they are, and are added to what comes out; then they are averaged as without (`SequencePooling`).
The blocks begin as the first ones of the text encoder, and the positions as those of words, where
that is as wide as features are (in every published CLIP it is), and at random where it is not.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tempme.backbones.config import ClipConfig
from tempme.backbones.layers import Block, Layer, inner_state
from tempme.backbones.text import TextTower
from tempme.tokens import Tokens

# Shape letters: V videos, P tokens of a video (frames, or clips that joined), D feature.

EPSILON = 1e-12  # of its norms, where those of CLIP have 1e-5
HIDDEN = 2e-38  # how often a frame counts that nobody shall see: its logarithm is -87


class FrameTransformer(nn.Module):
    """(V, P, D) features, after they have seen each other, on top of what they were."""

    def __init__(self, config: ClipConfig, layers: int) -> None:
        super().__init__()
        width = config.embed
        self.position = nn.Parameter(0.01 * torch.randn(config.context, width))
        made = [Block(width, _heads(config), "quick_gelu") for _ in range(layers)]
        for block in made:
            block.ln_1.eps = block.ln_2.eps = EPSILON
        self.blocks = nn.ModuleList(made)

    @torch.no_grad()
    def start_as(self, text: TextTower) -> FrameTransformer:
        """Begin as the text encoder does, before it was tuned, if it is as wide."""
        if text.position_embedding.shape != self.position.shape:
            return self
        self.position.copy_(text.position_embedding)
        for block, layer in zip(self.blocks, text.layers, strict=False):
            block.load_state_dict(inner_state(cast("Layer", layer).inner()))
        return self

    def forward(self, features_VPD: Tensor, mask_VP: Tensor | None = None) -> Tensor:
        """(V, P, D) -> (V, P, D); a mask is above 0 for what the others may see."""
        shown = None if mask_VP is None else (mask_VP > 0).to(features_VPD.dtype)
        size = None if shown is None else shown.clamp(min=HIDDEN)[..., None]
        positions = self.position[: features_VPD.shape[1]]
        tokens = Tokens(features_VPD + positions, size, clips_per_video=1)
        for block in self.blocks:
            tokens = block(tokens)
        return features_VPD + tokens.x_CND


def _heads(config: ClipConfig) -> int:
    """Those of the text encoder, or one per 64 of width, or fewer."""
    width = config.embed
    if width == config.text_width:
        return config.text_heads
    return next(heads for heads in range(max(1, width // 64), 0, -1) if width % heads == 0)
