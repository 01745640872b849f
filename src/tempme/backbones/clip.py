"""CLIP: two towers and a temperature."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from tempme.backbones.config import ClipConfig
from tempme.backbones.text import TextTower
from tempme.backbones.vision import VisionTower

# OpenAI's names -> ours, first match wins.
_NAMES = (
    (r"^visual\.conv1\.", "vision.patch_embedding."),
    (r"^visual\.proj$", "vision.projection"),
    (r"^visual\.positional_embedding$", "vision.position_embedding"),
    (r"^visual\.transformer\.resblocks\.", "vision.layers."),
    (r"^visual\.", "vision."),
    (r"^transformer\.resblocks\.", "text.layers."),
    (r"^positional_embedding$", "text.position_embedding"),
    (r"^text_projection$", "text.projection"),
    (r"^(token_embedding|ln_final)\.", r"text.\1."),
)
_IN_LAYERS = (("attn.in_proj_", "attn.qkv."), ("attn.out_proj.", "attn.out."))


def our_name(openai_name: str) -> str:
    """The name of a parameter of OpenAI's layout in `Clip`."""
    for pattern, ours in _NAMES:
        name, found = re.subn(pattern, ours, openai_name)
        if found:
            break
    for theirs, ours in _IN_LAYERS:
        name = name.replace(theirs, ours)
    return name


class Clip(nn.Module):
    """Frames and texts -> features in one space."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config)
        self.text = TextTower(config)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        _initialise(self)

    @torch.no_grad()
    def load_openai(self, state: dict[str, Tensor]) -> Clip:
        """Take weights in OpenAI's layout, as `read_weights` returns and checks them.

        They are moved out of `state`, so that they are not in memory twice.
        """
        own = self.state_dict()
        for name in tuple(state):
            own[our_name(name)].copy_(state.pop(name))
        return self

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, embed), not normalised."""
        tokens = self.vision.encode(self.vision.embed(pixels[:, None]))
        return self.vision.project(tokens).squeeze(1)

    def encode_texts(self, ids: Tensor) -> Tensor:
        """(T, W) -> (T, embed), not normalised."""
        return self.text(ids)


def _initialise(clip: Clip) -> None:
    """OpenAI's initialisation, for training from scratch."""
    for tower, width in ((clip.vision, clip.config.width), (clip.text, clip.config.text_width)):
        blocks: list[Any] = list(tower.layers)
        depth = len(blocks)
        for layer in blocks:
            nn.init.normal_(layer.attn.qkv.weight, std=width**-0.5)
            nn.init.zeros_(layer.attn.qkv.bias)
            nn.init.normal_(layer.attn.out.weight, std=width**-0.5 * (2 * depth) ** -0.5)
            nn.init.zeros_(layer.attn.out.bias)
            nn.init.normal_(layer.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(layer.mlp.c_proj.weight, std=width**-0.5 * (2 * depth) ** -0.5)
