"""CLIP's image encoder over the frames of videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from tempme.backbones.config import ClipConfig
from tempme.backbones.layers import Block, Layer
from tempme.tokens import Beside, Tokens

# Shape letters: V videos, F frames, C clips in the batch, N tokens per clip, D width.


class Unrelated(nn.Module):
    """Nothing lets the frames of a video meet."""

    def forward(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(V, tokens, embed), as they are."""
        return projected


class Unwatched(nn.Module):
    """Nobody asks how much a patch differs from that of the frame before."""

    def forward(self, frames: Tensor, patches: Tensor) -> None:  # noqa: ARG002
        """(V, F, 3, H, W) frames and (V, F, P, D) patches -> nothing."""
        return


class VisionTower(nn.Module):
    """Patches, a stack of layers, and a projection of the protected tokens.

    Tunings wrap `layers`, and may take the place of two modules that do nothing by themselves:
    `entrance` (Tokens -> Tokens before the first norm) and `temporal` (the projected tokens of a
    video, having seen each other; applied by `relate`, before pooling), which a pooling may take.
    A compression may take that of `witness` (frames and patches -> change between frames).
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.width
        self.patch_embedding = nn.Conv2d(3, width, config.patch, stride=config.patch, bias=False)
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.position_embedding = nn.Parameter(width**-0.5 * torch.randn(config.tokens, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layers: nn.ModuleList = nn.ModuleList(
            Block(width, config.heads, config.activation) for _ in range(config.layers)
        )
        self.entrance: nn.Module = nn.Identity()
        self.temporal: nn.Module = Unrelated()
        self.witness: nn.Module = Unwatched()
        self.projection = nn.Parameter(width**-0.5 * torch.randn(width, config.embed))

    def entering(self) -> Iterator[nn.Parameter]:
        """All that stands before the first layer."""
        yield from (self.class_embedding, self.position_embedding)
        for module in (self.patch_embedding, self.ln_pre, self.entrance):
            yield from module.parameters()

    @property
    def places_alike(self) -> bool:
        """Whether the tokens of a frame are the same wherever in a video it stands."""
        return True

    @property
    def shares_frames(self) -> bool:
        """Whether a frame is the same before the first block, wherever in a video it stands.

        It is not where it is compared with the one before.
        """
        return self.places_alike and isinstance(self.witness, Unwatched)

    def embed(self, frames: Tensor, mask: Tensor | None = None) -> Tokens:
        """(V, F, 3, H, W) pixels -> tokens: every frame is a clip of its own.

        `mask` (V, F) is 1 for frames that count; only layers in which frames meet may heed it.
        """
        num_frames = frames.shape[1]
        patches = self._patches(frames.flatten(0, 1))
        head = self.class_embedding.expand(len(patches), 1, -1).to(patches.dtype)
        x = torch.cat([head, patches], dim=1) + self.position_embedding
        change = self.witness(frames, patches.unflatten(0, (-1, num_frames)))
        beside = Beside(mask_VF=mask, change_VFP=change)
        start = Tokens(x, None, clips_per_video=num_frames, beside=beside)
        tokens = self.entrance(start)
        prompts = tokens.beside.prompts_BMD
        normed = replace(tokens, x_CND=self.ln_pre(tokens.x_CND))
        return normed if prompts is None else normed.with_prompts(self.ln_pre(prompts))

    def _patches(self, frames: Tensor) -> Tensor:
        """(C, 3, H, W) -> (C, patches, D): where the stride is the kernel, a plain product."""
        kernel = self.patch_embedding.weight
        size = kernel.shape[-1]
        cells = frames.unflatten(2, (-1, size)).unflatten(4, (-1, size))
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2) @ kernel.flatten(1).mT

    def encode(self, tokens: Tokens, layers: Iterable[nn.Module] | None = None) -> Tokens:
        """All layers (or the given ones), the last for the protected tokens alone."""
        some = list(cast("Iterable[Layer]", self.layers if layers is None else layers))
        if not some:
            return tokens.protected()
        *body, last = some
        for layer in body:
            tokens = layer(tokens)
        return last.finish(tokens)

    def project(self, tokens: Tokens) -> Tensor:
        """The protected tokens of every video in the space of texts: (V, tokens, embed)."""
        led = tokens.protected()
        x = self.ln_post(led.x_CND) @ self.projection
        return x.unflatten(0, (-1, led.clips_per_video)).flatten(1, 2)

    def part_weights(self, tokens: Tokens, mask: Tensor | None) -> Tensor | None:
        """(V, P): how many frames each part of what `project` gives stands for; None: as many."""
        return tokens.frame_weights(mask)

    def relate(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, tokens, embed) -> the same, after whatever lets the frames of a video meet.

        `mask` (V, tokens) is above 0 for those that count.
        """
        return self.temporal(projected, mask)

    @property
    def frame_layers(self) -> int:
        """Leading layers that see one frame at a time."""
        for i, layer in enumerate(self.layers):
            if not layer.sees_one_frame:
                return i
        return len(self.layers)
