"""UMT's video encoder: patches of all frames, no class token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Block, Cues, Layer, Projecting
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.positions import position_table
from tempme.backbones.vision import Unwatched
from tempme.errors import BadSetting
from tempme.pooling import TokenMean
from tempme.tokens import Beside, Tokens

# Shape letters: V videos, F frames, C clips in the batch, N tokens per clip, D width.

EPSILON = 1e-6  # of every norm


class QueryValueBias(Projecting):
    """One projection for queries, keys and values, of which keys have no bias.

    It stands where a `Linear` stands (weight, bias, sizes), so that tunings can wrap it; a bias of
    keys would change no attention, but which tokens look alike to a compression.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_features, self.out_features = width, 3 * width
        self.weight = nn.Parameter(torch.empty(3 * width, width))
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, std=0.02)

    @property
    def bias(self) -> Tensor:
        """(3 D,): the bias of queries, zeros, the bias of values."""
        return torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., 3 D)."""
        return nn.functional.linear(x, self.weight, self.bias)

    def rows(self, x: Tensor, part: slice) -> Tensor:
        """(..., D) -> (..., as many of the numbers put out)."""
        return nn.functional.linear(x, self.weight[part], self.bias[part])


class VideoBlock(Block):
    """A residual block of UMT: norms of a smaller epsilon, the exact GELU, no bias of keys."""

    def __init__(self, width: int, heads: int, *, joint: bool) -> None:
        super().__init__(width, heads, "gelu")
        self.ln_1, self.ln_2 = (nn.LayerNorm(width, eps=EPSILON) for _ in range(2))
        self.attn.add_module("qkv", QueryValueBias(width))
        self.sees_one_frame = not joint
        self.drop_path = 0.0  # how likely training leaves out either half for a clip

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Tokens after attention, and what attention saw."""
        y, cues = self._attend(tokens, None)
        return tokens.plus(self._kept(y)).with_prompts(None), cues

    def feed(self, tokens: Tokens) -> Tokens:
        """Tokens after the MLP."""
        return tokens.plus(self._kept(self.mlp(self.ln_2(tokens.x_CND))))

    def _kept(self, y_CND: Tensor) -> Tensor:
        """In training nothing for some clips, and more for the others: the same in the mean."""
        if not self.training or not self.drop_path:
            return y_CND
        kept = y_CND.new_empty(len(y_CND), 1, 1).bernoulli_(1 - self.drop_path)
        return y_CND * kept / (1 - self.drop_path)


class VideoEncoder(nn.Module):
    """Patches and a stack of layers; frames stay apart, or all patches of a video are one clip."""

    def __init__(self, config: UmtConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.layers: nn.ModuleList = nn.ModuleList(
            VideoBlock(width, config.heads, joint=config.joint) for _ in range(config.layers)
        )
        self.ln_post = nn.LayerNorm(width, eps=EPSILON)
        self.witness: nn.Module = Unwatched()  # as in `VisionTower`

    def entering(self) -> Iterator[nn.Parameter]:
        """All that stands before the first layer."""
        yield from self.patch_embedding.parameters()

    @property
    def places_alike(self) -> bool:
        """Whether the tokens of a frame are the same wherever in a video it stands."""
        return self.config.frame_positions and not self.config.joint

    @property
    def shares_frames(self) -> bool:
        """Whether a frame is the same before the first block, wherever in a video it stands.

        It is not where patches are placed in the whole video, or compared with the frame before.
        """
        return self.places_alike and isinstance(self.witness, Unwatched)

    def embed(self, frames: Tensor, mask: Tensor | None = None) -> Tokens:
        """(V, F, 3, H, W) pixels -> patches with their places.

        A clip is a frame, or the whole video where attention is joint. `mask` (V, F) is 1 for
        frames that count in what is made of the tokens; all of them are seen.
        """
        videos, num_frames = frames.shape[:2]
        if frames.shape[-2:] != (self.config.image_size,) * 2:
            raise BadSetting(
                f"frames are {tuple(frames.shape[-2:])}; this model takes "
                f"{self.config.image_size} pixels a side"
            )
        patches = self.patches(frames.flatten(0, 1))
        places = self.places(num_frames).to(patches)
        by_frame = patches.unflatten(0, (videos, num_frames))
        x = by_frame + places
        beside = Beside(mask_VF=mask, change_VFP=self.witness(frames, by_frame))
        if self.config.joint:
            return Tokens(x.flatten(1, 2), None, 1, num_protected=0, beside=beside)
        return Tokens(x.flatten(0, 1), None, num_frames, num_protected=0, beside=beside)

    def patches(self, frames: Tensor) -> Tensor:
        """(C, 3, H, W) -> (C, N, D): where the stride is the kernel, a plain product."""
        kernel = self.patch_embedding.weight
        size = kernel.shape[-1]
        cells = frames.unflatten(2, (-1, size)).unflatten(4, (-1, size))
        flat = cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return nn.functional.linear(flat, kernel.flatten(1), self.patch_embedding.bias)

    def places(self, frames: int) -> Tensor:
        """(F, N, D), or (1, N, D) where places are counted within every frame."""
        config = self.config
        alone = config.frame_positions
        return position_table(
            frames=1 if alone else frames,
            patches=config.tokens,
            width=config.width,
            trained_frames=None if alone or frames == 1 else config.trained_frames,
        )

    def encode(self, tokens: Tokens, layers: Iterable[nn.Module] | None = None) -> Tokens:
        """All layers (or the given ones), and the last norm: every token is read after it."""
        for layer in self.layers if layers is None else layers:
            tokens = layer(tokens)
        return replace(tokens, x_CND=self.ln_post(tokens.x_CND))

    def drop_paths(self, most: float) -> None:
        """Let training leave out halves of blocks: never of the first, of the last `most` often."""
        blocks = [cast("VideoBlock", cast("Layer", one).inner()) for one in self.layers]
        for number, block in enumerate(blocks):
            block.drop_path = most * number / max(1, len(blocks) - 1)

    @property
    def frame_layers(self) -> int:
        """Leading layers that see one frame at a time."""
        for i, layer in enumerate(cast("Iterable[Layer]", self.layers)):
            if not layer.sees_one_frame:
                return i
        return len(self.layers)


class UmtVision(VideoEncoder):
    """A video encoder, and what makes features of a video in the space of texts."""

    def __init__(self, config: UmtConfig) -> None:
        super().__init__(config)
        self.mean = TokenMean()  # what a system's pooling says, once it is assembled
        self.ln_pool = nn.LayerNorm(config.width, eps=EPSILON)
        self.projection = nn.Linear(config.width, config.embed)

    def pool(
        self, tokens: Tokens, mean: TokenMean | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Tokens from `encode` -> (V, P, D), the normed mean of every part of a video.

        A part is a clip, or the video (`mean`, by default `self.mean`); or a frame, where all
        patches of all frames are one clip and none has merged.
        """
        return self.ln_pool((mean or self.mean)(self._by_frame(tokens), mask))

    def part_weights(self, tokens: Tokens, mask: Tensor | None) -> Tensor | None:
        """(V, P): how many frames each part of what `project` gives stands for; None: as many."""
        if mask is not None and self.mean.whole_video:
            return mask.float().sum(dim=1, keepdim=True)
        return None if self.mean.whole_video else self._by_frame(tokens).frame_weights(mask)

    def relate(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(V, P, embed) -> the same: the parts of a video have met in the blocks, or never do."""
        return projected

    def _by_frame(self, tokens: Tokens) -> Tokens:
        if not self.config.joint or tokens.size_CN1 is not None:
            return tokens
        x = tokens.x_CND.unflatten(1, (-1, self.config.tokens))
        return replace(tokens, x_CND=x.flatten(0, 1), clips_per_video=x.shape[1])

    def project(self, tokens: Tokens) -> Tensor:
        """Tokens from `encode`, or before any layer -> (V, P, embed), not normalised."""
        return self.projection(self.pool(tokens, mask=tokens.beside.mask_VF))


def seen(tokens: Tokens) -> Tensor:
    """(V, M, D): all tokens of every video, clip after clip: what words look at."""
    return tokens.x_CND.unflatten(0, (tokens.num_videos, -1)).flatten(1, 2)


def log_sizes(tokens: Tokens) -> Tensor | None:
    """(V, M): what lets words see a token as often as the patches it holds; None if none merged."""
    size = tokens.size_CN1
    return None if size is None else size.log().reshape(tokens.num_videos, -1)
