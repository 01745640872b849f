"""ToMe: merge r tokens of every frame in every block.

Bolya et al., ICLR 2023, arXiv 2210.09461 (section 3). Between attention and the MLP the patches of
a frame alternate between two sets; the `r` of the first whose keys (mean over heads) are most like
one of the second are averaged into it, weighted by size, and from then on a token counts in
attention as often as its patches. Nothing learns; with LoRA merging is on in training, too. `r` is
2 for ViT-B/32 (12 x 26 tokens, 40.2 GFLOPs) and 10 for ViT-B/16 (12 x 77, 144.4), as in the paper's
Table 1. The original sorts twice and gathers every number; here only the rows that receive
something are written. Code: LunarShen/TempMe e624930, whose blocks before the first join are these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tempme.backbones.layers import Layer
from tempme.compression.layers import ImgMe
from tempme.compression.method import Compression, scaled_count
from tempme.errors import BadSetting
from tempme.schedule import Step, schedule


@dataclass(frozen=True)
class ToMe(Compression):
    """Merging inside frames.

    r: tokens that leave every frame in every block; at most half of the patches do.
    proportional: attention counts a token as often as its patches.
    """

    r: int = 2
    proportional: bool = True

    def __post_init__(self) -> None:
        if self.r < 0:
            raise BadSetting(f"tome.r is {self.r}; tokens merged per block, so 0 or more")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        return schedule(tokens=tokens, frames=frames, depth=depth, protected=protected, r=self.r)

    def scaled(self, strength: float, *, counts: float | None = None) -> ToMe:
        """More tokens of every frame."""
        return replace(self, r=scaled_count(self.r, strength if counts is None else counts))

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Merge after the attention of `layer`."""
        return ImgMe(layer, step, proportional=self.proportional)
