"""TESTA: merge whole frames too.

Ren et al., EMNLP Findings 2023, arXiv 2310.19060 (section 3; code: RenShuhuai-Andy/TESTA 41b9486).

Between attention and the MLP, the patches of every frame merge as in ToMe (`r` of them), and in a
few blocks whole frames merge: the frames alternate between two sets, every position of an even
frame votes for the odd frame in which it finds its nearest key, and the frames whose weakest
position agrees best are averaged into their choice, position by position, weighted by size. The
class token of a frame merges along, so fewer clips of a video go on, and the feature weights each
by its frames. Edge strength is the least of the positions' similarities: what the official `mode`
of floats is where no two are equal. Attention is not proportional, as in the official retrieval
code. The paper prints no row and no settings for it; ours fit its budget: `r` 2 everywhere and one
frame in blocks 3, 6 and 9 of 12 leave 9 x 26 tokens of ViT-B/32 (36.3 GFLOPs). In a block that
does both, frames merge first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from tempme.backbones.layers import Cues, Layer
from tempme.compression.frames import averaged_by_frame, fuse_frames
from tempme.compression.layers import ImgMe
from tempme.compression.method import Compression, scaled_count
from tempme.errors import BadSetting
from tempme.merging import Matching, merge, others
from tempme.schedule import Dots, Step, check_blocks, stages
from tempme.tokens import Tokens

# Shape letters: C clips in the batch, V videos, F frames, N tokens of a frame, D width.


class FrameMe(ImgMe):
    """Merge `step.merged_clips` frames of a video, then `step.intra` tokens of every frame left."""

    def __init__(self, layer: Layer, step: Step, *, proportional: bool) -> None:
        super().__init__(layer, step, proportional=proportional)
        self.sees_one_frame = layer.sees_one_frame and step.merged_clips == 0
        self.joins_alike = layer.joins_alike and step.merged_clips == 0

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """Frames first; the keys of merged frames are averaged like their tokens."""
        keys = cues.keys
        if self.step.merged_clips:
            tokens, keys = merge_frames(tokens, keys, self.step.merged_clips)
        return merge(tokens, self.step.intra, similar_by=keys)

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """Where frames merge, class tokens merge too: then the last block is run whole."""
        if self.step.merged_clips:
            return self(tokens).protected()
        return super().finish_protected(tokens)


def merge_frames(tokens: Tokens, keys_CND: Tensor, r: int) -> tuple[Tokens, Tensor]:
    """Average the r most similar pairs of frames; returns the tokens and keys of those left."""
    pairs = match_frames(keys_CND.unflatten(0, (-1, tokens.clips_per_video)), r)
    return fuse_frames(tokens, pairs), averaged_by_frame(tokens, keys_CND, pairs)


@torch.no_grad()
def match_frames(keys_VFND: Tensor, r: int) -> Matching:
    """Every position of an even frame votes for an odd frame; the r surest frames move."""
    unit = normalize(keys_VFND.float(), dim=-1).transpose(1, 2)
    with torch.autocast(unit.device.type, enabled=False):  # which would round to bf16
        best, choice = (unit[:, :, ::2] @ unit[:, :, 1::2].mT).max(dim=-1)
    odd = unit.shape[2] // 2
    elected = one_hot(choice, odd).sum(dim=1).argmax(dim=-1)  # of equal votes, the first frame
    surest = best.amin(dim=1).argsort(dim=-1, descending=True, stable=True)
    moved = surest[:, :r]
    kept = others(moved, best.shape[2])
    return Matching(kept, moved, elected.gather(1, moved), 0, 0, unit.shape[2])


@dataclass(frozen=True)
class TESTA(Compression):
    """Merging of patches and of frames; at most half of each find a partner.

    r: patches merged in every frame.
    merge_frames: frames merged of every video.
    at: the blocks where patches merge; None is all.
    frames_at: the blocks where frames merge; None is the quarters of the depth, 3, 6 and 9 of 12.
    proportional: attention counts a token as often as its patches.
    """

    of_frames: ClassVar[str] = "merges whole frames"

    r: int = 2
    merge_frames: int = 1
    at: tuple[int, ...] | None = None
    frames_at: tuple[int, ...] | None = None
    proportional: bool = False

    def __post_init__(self) -> None:
        for name in ("r", "merge_frames"):
            if getattr(self, name) < 0:
                raise BadSetting(f"testa.{name} is {getattr(self, name)}; it must be 0 or more")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        at = range(depth) if self.at is None else self.at
        frames_at = stages(depth, 4)[1:] if self.frames_at is None else self.frames_at
        check_blocks("testa.at", at, depth)
        check_blocks("testa.frames_at", frames_at, depth)
        n, clips, steps = tokens, frames, []
        for block in range(depth):
            # The official code spares a class token in the sequence it halves, whichever that is.
            spared = 1 if self.r and protected else 0
            most = (clips - spared) // 2
            merged = min(self.merge_frames, most) if block in frames_at else 0
            r = min(self.r, (n - protected) // 2) if block in at else 0
            step = Step(
                clips=clips,
                attended=n,
                intra=r,
                protected=protected,
                merged_clips=merged,
            )
            steps.append(replace(step, dots=_dots(step)))
            n, clips = n - r, clips - merged
        return tuple(steps)

    def scaled(self, strength: float, *, counts: float | None = None) -> TESTA:
        """More patches of every frame, and more frames."""
        r, frames = (
            scaled_count(n, strength if counts is None else counts)
            for n in (self.r, self.merge_frames)
        )
        return replace(self, r=r, merge_frames=frames)

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Merge after the attention of `layer`."""
        return FrameMe(layer, step, proportional=self.proportional)


def _dots(step: Step) -> Dots:
    free = step.attended - step.protected
    patches = step.clips_out * (free // 2) * (free - free // 2) if step.intra else 0
    pairs = (step.clips // 2) * (step.clips - step.clips // 2) if step.merged_clips else 0
    return Dots(keys=patches + step.attended * pairs)
