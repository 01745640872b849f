"""PLEVU: prompts around the words, a small transformer over the frames.

Ju et al., ECCV 2022, arXiv 2112.04478 ("Prompting Visual-Language Models for Efficient Video
Understanding", section 3).

Words stand between `prefix` and `postfix` learnt rows of the text encoder's input, which are taken
from one table by absolute row; positions are added afterwards. The features of the frames, with
learnt positions, pass `blocks` transformer blocks as wide as the features, and are averaged. All
of CLIP is frozen. The model is that of the public code (Efficient-Prompt, 1f69a18; action
recognition on features); retrieval itself is reconstructed: its code was never published. Original
settings: pooling "mean" with unit False, `temperature` 0.07, 16 frames, ViT-B/16, texts of up to
45 rows between the prompts; AdamW, learning rate 1e-4, decay 0.01, constant, batches of 64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Block
from tempme.backbones.sizes import Sizes
from tempme.backbones.text import text_of
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tokens import Tokens
from tempme.tuning.method import Tuning

# Shape letters: V videos, F frames, T texts, W words, R rows of a text, D width.

LEAST_WORDS = 24  # most captions are shorter


class Surrounded(nn.Module):
    """Words between rows of a learnt table."""

    def __init__(self, rows: int, width: int, *, prefix: int, postfix: int) -> None:
        super().__init__()
        self.table = nn.Parameter(0.01 * torch.randn(rows, width))
        self.prefix, self.postfix = prefix, postfix

    def forward(
        self, words_TWD: Tensor, ends_T: Tensor, places_RD: Tensor
    ) -> tuple[Tokens, Tensor]:
        """[start, prefix, words, postfix, end, whatever]: what follows the end is never seen."""
        texts, words, width = words_TWD.shape
        rows = min(words + self.prefix + self.postfix, len(self.table))
        number = torch.arange(words, device=ends_T.device).expand(texts, -1)
        end = ends_T[:, None]
        place = number + self.prefix * (number > 0) + self.postfix * (number == end)
        place = torch.where(number > end, rows, place)  # padding goes to a last row, cut off
        table = self.table[:rows].to(words_TWD.dtype)
        empty = torch.cat([table, table[:1]]).expand(texts, -1, -1)
        filled = empty.scatter(1, place[..., None].expand(-1, -1, width), words_TWD)
        return text_of(filled[:, :rows] + places_RD[:rows]), ends_T + self.prefix + self.postfix


class Temporal(nn.Module):
    """Features of frames, after they have seen each other."""

    def __init__(self, frames: int, width: int, *, heads: int, blocks: int) -> None:
        super().__init__()
        self.position = nn.Parameter(0.01 * torch.randn(frames, width))
        made = [Block(width, heads, "quick_gelu") for _ in range(blocks)]
        self.blocks = nn.ModuleList(made)
        for block in made:  # as torch's own attention starts
            nn.init.xavier_uniform_(block.attn.qkv.weight)
            nn.init.zeros_(block.attn.qkv.bias)
            nn.init.zeros_(block.attn.out.bias)

    def forward(self, features_VFD: Tensor, _: Tensor | None = None) -> Tensor:
        """(V, F, D) -> (V, F, D); every frame is seen, as in the original, whatever the mask."""
        tokens = Tokens(features_VFD + self.position, None, clips_per_video=1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.x_CND


@dataclass(frozen=True)
class PLEVU(Tuning):
    """Prompts around a text, and blocks over the features of the frames.

    prefix, postfix: prompts before and behind the words.
    blocks: transformer blocks over the frames.
    heads: heads of each of them; they divide the features.
    temperature: of the similarity, as in the original (0.07); None keeps that of CLIP.
    """

    prefix: int = 16
    postfix: int = 16
    blocks: int = 2
    heads: int = 8
    temperature: float | None = None

    of_every_frame: ClassVar[str] = "a learnt place"
    of_clip: ClassVar[str] = "the place where words become rows, and one feature of every frame"

    def __post_init__(self) -> None:
        if min(self.prefix, self.postfix) < 0 or min(self.blocks, self.heads) < 1:
            raise BadSetting(f"{self}: prompts are 0 or more, blocks and heads 1 or more")
        if self.temperature is not None and self.temperature <= 0:
            raise BadSetting(f"plevu.temperature is {self.temperature}; it must be above 0")

    @property
    def text_rows(self) -> int:
        """Both kinds of prompts."""
        return self.prefix + self.postfix

    def fitted(self, config: Sizes) -> PLEVU:
        """A short text encoder reads fewer prompts, so that `LEAST_WORDS` fit between them."""
        most = max(1, (config.context - LEAST_WORDS) // 2)
        return replace(self, prefix=min(self.prefix, most), postfix=min(self.postfix, most))

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
        """Texts have to fit, and heads to divide the features."""
        super().check(frames=frames, words=words, config=config)
        if config.embed % self.heads:
            raise BadSetting(
                f"plevu.heads is {self.heads}, but features have {config.embed} numbers: take a "
                f"number of heads that divides them"
            )

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Put rows around words and blocks behind frames; nothing of CLIP learns."""
        clip = self.clip(backbone)
        clip.requires_grad_(False)
        config = clip.config
        clip.text.line = Surrounded(
            config.context, config.text_width, prefix=self.prefix, postfix=self.postfix
        )
        clip.vision.temporal = Temporal(frames, config.embed, heads=self.heads, blocks=self.blocks)
        if self.temperature is not None:
            nn.init.constant_(clip.logit_scale, math.log(1 / self.temperature))
        return clip

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """The blocks over frames."""
        frames, d = plan[0].clips * plan[0].join, config.embed
        products = self.blocks * (12 * frames * d * d + 2 * frames * frames * d)
        return Extra(products, paper=products)
