"""A model as plain functions of arrays of fixed shapes: what other engines compute.

Where frames are alone in the first blocks, the image side is two functions, so that a frame that
many windows show goes through those blocks once, as in `Retriever.encode_windows`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import fold
from tempme.backbones.umt.vision import UmtVision
from tempme.backbones.vision import VisionTower
from tempme.pooling import Pooling
from tempme.systems.system import System
from tempme.tokens import Tokens

# Shape letters: F frames, N tokens of a frame, D width, P class tokens, W words, E embed.


Vision: TypeAlias = VisionTower | UmtVision


class Example(NamedTuple):
    """A function, and arrays that it takes; `inputs` and `outputs` are their names."""

    function: nn.Module
    arrays: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graphs:
    """The functions of a model.

    frames: (F, 3, S, S) -> what a window needs of each frame; None where windows take pixels.
    windows: what it needs of F frames -> (1, E), of unit length. texts: (1, W) ids -> the same.
    """

    frames: Example | None
    windows: Example
    texts: Example

    def named(self) -> dict[str, Example]:
        """Those that there are, by name."""
        every = {"frames": self.frames, "windows": self.windows, "texts": self.texts}
        return {name: one for name, one in every.items() if one is not None}


@torch.no_grad()
def graphs_of(system: System, backbone: Backbone, *, words: int) -> Graphs:
    """The functions of a model, whose backbone stays as it is. words: ids of a text."""
    folded = fold(copy.deepcopy(backbone).cpu().float()).requires_grad_(False).eval()
    model = cast("Backbone", folded)
    size = system.config.image_size
    pixels = torch.zeros(system.frames, 3, size, size)
    text = Example(
        _Texts(model.text), (torch.ones(1, words, dtype=torch.int64),), ("ids",), ("texts",)
    )
    vision = model.vision
    if not vision.shares_frames or vision.frame_layers == 0:
        whole = Example(_Whole(vision, system.pooling), (pixels,), ("frames",), ("videos",))
        return Graphs(None, whole, text)
    alone = _Alone(vision)
    of_frames = alone(pixels)
    names = ("tokens", "sizes")[: len(of_frames)]
    together: nn.Module = (
        _Pooled(vision, system.pooling)
        if alone.is_all
        else _Joined(vision, system.pooling, alone.num_protected(pixels))
    )
    return Graphs(
        Example(alone, (pixels,), ("frames",), names),
        Example(together, of_frames, names, ("videos",)),
        text,
    )


class _Alone(nn.Module):
    """(F, 3, S, S) -> tokens (F, N, D), and their sizes (F, N, 1) once tokens have merged.

    Where frames stay apart in all blocks: their class tokens in the space of texts, (F, P, E).
    """

    def __init__(self, vision: Vision) -> None:
        super().__init__()
        self.vision = vision
        self.is_all = vision.frame_layers == len(vision.layers)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        if self.is_all:
            vision = self.vision
            return (vision.project(vision.encode(vision.embed(frames[:, None]))),)
        tokens = self._tokens(frames)
        size = tokens.size_CN1
        return (tokens.x_CND,) if size is None else (tokens.x_CND, size)

    def num_protected(self, frames: Tensor) -> int:
        """Leading tokens of a frame that nothing merges."""
        return self._tokens(frames).num_protected

    def _tokens(self, frames: Tensor) -> Tokens:
        tokens: Tokens = self.vision.embed(frames[:, None])
        for layer in self.vision.layers[: self.vision.frame_layers]:
            tokens = layer(tokens)
        return tokens


class _Joined(nn.Module):
    """What `_Alone` makes of the F frames of a window -> (1, E)."""

    def __init__(self, vision: Vision, pooling: Pooling, num_protected: int) -> None:
        super().__init__()
        self.vision, self.pooling, self.num_protected = vision, pooling, num_protected

    def forward(self, tokens: Tensor, sizes: Tensor | None = None) -> Tensor:
        vision = self.vision
        begun = Tokens(tokens, sizes, len(tokens), num_protected=self.num_protected)
        return _feature(vision, self.pooling, begun, vision.layers[vision.frame_layers :])


class _Pooled(nn.Module):
    """What `_Alone` makes of the F frames of a window, where they meet in no block -> (1, E)."""

    def __init__(self, vision: Vision, pooling: Pooling) -> None:
        super().__init__()
        self.vision, self.pooling = vision, pooling

    def forward(self, tokens: Tensor) -> Tensor:
        related = self.vision.relate(tokens.flatten(0, 1)[None], None)
        return normalize(self.pooling(related.float(), None), dim=-1)


class _Whole(nn.Module):
    """(F, 3, S, S) -> (1, E), where frames meet from the first block on."""

    def __init__(self, vision: Vision, pooling: Pooling) -> None:
        super().__init__()
        self.vision, self.pooling = vision, pooling

    def forward(self, frames: Tensor) -> Tensor:
        vision = self.vision
        return _feature(vision, self.pooling, vision.embed(frames[None]), vision.layers)


class _Texts(nn.Module):
    """(1, W) ids -> (1, E)."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, ids: Tensor) -> Tensor:
        return normalize(self.text(ids).float(), dim=-1)


def _feature(vision: Vision, pooling: Pooling, tokens: Tokens, layers: nn.ModuleList) -> Tensor:
    """Tokens of one video before `layers` -> (1, E)."""
    seen = vision.encode(tokens, layers)
    weights = vision.part_weights(seen, None)
    related = vision.relate(vision.project(seen), weights)
    return normalize(pooling(related.float(), weights), dim=-1)
