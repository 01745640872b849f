"""Where every patch of a video ends up: what Figure 4 of the paper draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tempme.retriever import precision as numbers
from tempme.retriever.retriever import Retriever
from tempme.tokens import followed

# Shape letters: V videos, F frames, P tokens of a video before any merge (F of them class tokens).


@dataclass(frozen=True)
class Trace:
    """The ways of all patches through the blocks of an encoder.

    `after_blocks` holds one (V, P) int64 a block: the number, within the video, of the token that
    each patch is part of after that block; -1 where it was dropped. Patches count frame by frame,
    each frame led by its class token, if it has one; tokens count clip by clip. `tokens` are those
    of a video after each block.
    """

    after_blocks: tuple[Tensor, ...]
    tokens: tuple[int, ...]
    frames: int
    class_tokens: int = 1  # of a frame, which lead it

    @property
    def assignment(self) -> Tensor:
        """(V, P): the token of the last block that each patch ends in."""
        return self.after_blocks[-1]

    def sizes(self, block: int = -1) -> Tensor:
        """(V, tokens) int64: the patches of each token after a block."""
        places = self.after_blocks[block]
        kept = (places >= 0).long()
        empty = places.new_zeros(len(places), self.tokens[block])
        return empty.scatter_add(1, places.clamp(min=0), kept)

    def by_frame(self, block: int = -1) -> Tensor:
        """(V, F, patches): the token that each patch is part of after a block, no class tokens."""
        places = self.after_blocks[block]
        return places.view(len(places), self.frames, -1)[:, :, self.class_tokens :]

    def spans(self, block: int = -1) -> Tensor:
        """(V, tokens) int64: in how many frames each token has patches after a block."""
        by_frame = self.by_frame(block)
        videos, frames = by_frame.shape[:2]
        seen = by_frame.new_zeros(videos, frames, self.tokens[block] + 1)  # the last: dropped
        seen.scatter_(2, by_frame.where(by_frame >= 0, self.tokens[block]), 1)
        return seen[:, :, :-1].sum(dim=1)


@torch.no_grad()
def trace(retriever: Retriever, frames: Tensor) -> Trace:
    """Follow the patches of (V, F, 3, H, W) videos from `retriever.transform` through all blocks.

    The last block is run whole, as in training, though a feature needs only its class tokens.
    """
    retriever.check_videos(frames)
    vision, videos = retriever.backbone.vision, len(frames)
    with numbers.context(retriever.precision, retriever.device):
        dtype, device = numbers.dtype(retriever.precision), retriever.device
        tokens = vision.embed(frames.to(device, dtype))
        patches = tokens.clips_per_video * len(tokens)
        place = torch.arange(videos * patches, device=device)
        after, counts = [], []
        for layer in vision.layers:
            known = len(tokens.moves)
            tokens = layer(tokens)
            place = followed(place, tokens.moves[known:])
            counts.append(tokens.clips_per_video * len(tokens))
            after.append(_within_videos(place.view(videos, patches), counts[-1]))
    own = retriever.backbone.config.class_tokens
    return Trace(tuple(after), tuple(counts), frames.shape[1], own)


def _within_videos(place_VP: Tensor, tokens: int) -> Tensor:
    """Rows of the batch -> tokens of each video."""
    first = tokens * torch.arange(len(place_VP), device=place_VP.device)[:, None]
    return torch.where(place_VP < 0, place_VP, place_VP - first)
