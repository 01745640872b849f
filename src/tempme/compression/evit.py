"""EViT: keep what the class token reads.

Liang et al., ICLR 2022, arXiv 2202.07800 (section 3; code: youweiliang/evit 5ca95a7).

In a few blocks, between attention and the MLP, the patches of a frame that its class token attends
to most stay (`keep` of them, rounded up); the others become one token, their sum weighted by that
attention, or are dropped without `fuse`. The fused token is an ordinary one from then on. Nothing
learns, attention is not proportional to size, and only the class token's row of the attention map
is computed a second time. Settings: `keep` 0.7 in blocks 3, 6 and 9 of 12 leaves 12 x 21 tokens of
ViT-B/32 (37.2 GFLOPs in the paper's table, which fits `fuse`). The share is constant in training,
as in EViT's fine-tuning recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import Compressed
from tempme.compression.method import Compression, share_kept
from tempme.errors import BadSetting
from tempme.merging import Selection, keep
from tempme.schedule import Dots, Step, check_blocks, stages
from tempme.tokens import Tokens


class Attentive(Compressed):
    """Keep the patches that the class token attends to; fuse or drop `step.pruned` others."""

    def __init__(self, layer: Layer, step: Step, *, fuse: bool) -> None:
        super().__init__(layer, step, proportional=False)
        self.fuse = fuse

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """Most attended first, the fused token last."""
        if not self.step.pruned:
            return tokens
        first = tokens.num_protected
        attention = cues.class_attention(1)
        order = first + attention[:, first:].argsort(dim=-1, descending=True, stable=True)
        stay = tokens.num_free - self.step.pruned
        kept = keep(tokens, order[:, :stay])
        return append(tokens, kept, order[:, stay:], attention) if self.fuse else kept


def append(tokens: Tokens, kept: Tokens, left: Tensor, weight: Tensor) -> Tokens:
    """`kept` and one more token: the tokens at `left` (C, L), summed by their `weight` (C, N)."""
    among = torch.zeros_like(weight).scatter(1, left, 1.0)
    fused = ((weight * among)[:, None] @ tokens.x_CND.float()).to(tokens.x_CND.dtype)
    size = tokens.sizes.squeeze(-1)
    pruned: Selection = kept.moves[-1]  # type: ignore[assignment]
    joined = replace(
        pruned, moving=left, slots=torch.full_like(left, len(kept)), num_out=len(kept) + 1
    )
    return replace(
        kept,
        x_CND=torch.cat([kept.x_CND, fused], dim=1),
        size_CN1=torch.cat([kept.sizes, (size * among).sum(dim=1)[:, None, None]], dim=1),
        moves=(*tokens.moves, joined),
    )


@dataclass(frozen=True)
class EViT(Compression):
    """Pruning by the attention of the class token.

    keep: share of the patches that stay, each time.
    at: blocks that prune; None is the quarters of the depth, 3, 6 and 9 of 12.
    fuse: what does not stay becomes one token rather than none.
    """

    keep: float = 0.7
    at: tuple[int, ...] | None = None
    fuse: bool = True

    of_class_token: ClassVar[str] = "the attention of the class token, which says what stays"

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise BadSetting(f"evit.keep is {self.keep}; it is the share kept: above 0, up to 1")

    @property
    def drops_patches(self) -> bool:
        """Whether patches leave without a trace."""
        return not self.fuse

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        at = stages(depth, 4)[1:] if self.at is None else self.at
        check_blocks("evit.at", at, depth)
        n, steps = tokens, []
        for block in range(depth):
            free = n - protected
            pruned = free - ceil(self.keep * free) if block in at else 0
            out = n - pruned + (self.fuse and pruned > 0)
            steps.append(
                Step(
                    clips=frames,
                    attended=n,
                    intra=n - out,
                    pruned=pruned,
                    protected=protected,
                    # The map of the class token, and a sum of all tokens weighted by it.
                    dots=Dots(tokens=frames * n * (2 if self.fuse else 1) if pruned else 0),
                )
            )
            n = out
        return tuple(steps)

    def scaled(self, strength: float, *, counts: float | None = None) -> EViT:  # noqa: ARG002
        """A smaller share each time."""
        return replace(self, keep=share_kept(self.keep, strength))

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Prune after the attention of `layer`."""
        return Attentive(layer, step, fuse=self.fuse)
