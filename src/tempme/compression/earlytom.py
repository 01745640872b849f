"""EarlyTom: neighbouring frames that are alike become one inside the encoder.

After EarlyTom (2026, arXiv 2605.30010; its code viridisGreen/EarlyTom b909322 merges whole frames
between blocks of a SigLIP). Frames are alike by the mean cosine of tokens at equal places. The
original lets segments of frames grow while a moving average of it stays above a threshold, so that
as many frames are left as the video makes it. Here, a choice of ours, the number is fixed: the
video is cut where neighbours are least alike, into as many segments as frames are to stay, and each
segment becomes one frame, the mean of its tokens at equal places, weighted by how many frames they
hold. A class token merges along with its frame, so the feature weighs each by its frames. Frames of
a still video merge in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.frames import fuse_frames
from tempme.compression.layers import Compressed
from tempme.compression.method import Compression, share_kept
from tempme.errors import BadSetting
from tempme.merging import Selection, others
from tempme.schedule import Dots, Step, check_blocks, stages
from tempme.tokens import Tokens

# Shape letters: V videos, F frames, N tokens of a frame, D width.


class Segmented(Compressed):
    """Between attention and the MLP, `step.merged_clips` frames merge into the one before."""

    def __init__(self, layer: Layer, step: Step) -> None:
        super().__init__(layer, step, proportional=False)  # all tokens of a frame weigh alike
        merges = step.merged_clips > 0
        self.sees_one_frame = layer.sees_one_frame and not merges
        self.joins_alike = layer.joins_alike and not merges

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:  # noqa: ARG002
        """One frame of every segment."""
        if not self.step.merged_clips:
            return tokens
        x = tokens.x_CND.unflatten(0, (-1, tokens.clips_per_video))
        return fuse_frames(tokens, segments(x, self.step.merged_clips))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """Where frames merge, class tokens merge too: then the last block is run whole."""
        if self.step.merged_clips:
            return self(tokens).protected()
        return super().finish_protected(tokens)


@torch.no_grad()
def segments(x_VFND: Tensor, r: int) -> Selection:
    """The r frames most like the one before merge into the first of their segment.

    Among equals the first does.
    """
    unit = normalize(x_VFND.float(), dim=-1)
    alike = (unit[:, 1:] * unit[:, :-1]).sum(dim=-1).mean(dim=-1)
    moving = 1 + alike.sort(dim=-1, descending=True, stable=True).indices[:, :r]
    frames = x_VFND.shape[1]
    stay = others(moving, frames)
    begins = torch.zeros(len(stay), frames, dtype=torch.int64, device=stay.device)
    segment = begins.scatter(1, stay, 1).cumsum(dim=1) - 1
    return Selection(stay, moving, segment.gather(1, moving), frames, frames - r)


@dataclass(frozen=True)
class EarlyTom(Compression):
    """Merging of neighbouring frames, to a fixed number.

    keep: share of the frames that stay, each time, rounded up.
    at: the blocks in which they merge; None is the thirds of the depth, 4 and 8 of 12.
    earlier: so many blocks before these, or in the first.
    """

    of_frames: ClassVar[str] = "merges whole frames"

    keep: float = 0.66
    at: tuple[int, ...] | None = None
    earlier: int = 0

    def __post_init__(self) -> None:
        if self.earlier < 0:
            raise BadSetting(f"earlytom.earlier is {self.earlier}; a number of blocks, 0 or more")
        if not 0 < self.keep <= 1:
            raise BadSetting(
                f"earlytom.keep is {self.keep}; it is the share kept: above 0, up to 1"
            )

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        at = stages(depth, 3)[1:] if self.at is None else self.at
        check_blocks("earlytom.at", at, depth)
        at = tuple(max(0, block - self.earlier) for block in at)
        clips, steps = frames, []
        for block in range(depth):
            left = ceil(round(self.keep * clips, 6)) if block in at else clips
            steps.append(
                Step(
                    clips=clips,
                    attended=tokens,
                    protected=protected,
                    merged_clips=clips - left,
                    dots=Dots(),
                )
            )
            clips = left
        return tuple(steps)

    def scaled(self, strength: float, *, counts: float | None = None) -> EarlyTom:
        """Fewer frames each time; from twice as many that merge on, earlier, too."""
        shift = int(max(0.0, (strength if counts is None else counts) - 2) + 1e-9)
        return replace(self, keep=share_kept(self.keep, strength), earlier=self.earlier + shift)

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Merge frames after the attention of `layer`."""
        return Segmented(layer, step)
