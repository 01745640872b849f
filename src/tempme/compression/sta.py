"""STA: prune what was seen before.

Ding et al., ICCV 2023, arXiv 2308.04549 (section 3; code at faf10be).

Semantic-aware temporal accumulation walks through the frames after three whole blocks: forward in
time, backward, forward. In the first frame visited, the even tokens that are most like an odd one
leave. From then on a token collects redundancy from the tokens kept in the frame before, along a
softmax over key similarities, and the tokens leave that collected most and are least activated:
`r` of every frame. Class tokens stay, nothing learns, sizes do not matter; in training it prunes
as well, without gradient through the choice. STA was made for joint space-time attention; that a
frame is a group at all three stages, with `r` (10, 9, 9) after blocks 0, 4 and 8 of 12, is our
reading, which meets the paper's 35.7 GFLOPs for ViT-B/32 (12 x 22 tokens); the paper does not tell
its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import Compressed
from tempme.compression.method import Compression, scaled_count
from tempme.errors import BadSetting
from tempme.merging import keep
from tempme.schedule import Dots, Step, check_blocks, stages
from tempme.tokens import Tokens

# Shape letters: V videos, F frames, N free tokens of a frame, D width.


class Traversed(Compressed):
    """A whole block, then a walk through the frames that drops `step.after` tokens of each."""

    def __init__(self, layer: Layer, step: Step, *, backward: bool) -> None:
        super().__init__(layer, step, proportional=False)
        self.backward = backward
        self.sees_one_frame = layer.sees_one_frame and step.after == 0
        self.joins_alike = layer.joins_alike and step.after == 0

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:  # noqa: ARG002
        """Nothing before the MLP."""
        return tokens

    def forward(self, tokens: Tokens) -> Tokens:
        """Both halves of the block, then the pruning."""
        seen, cues = self.attend(tokens)
        fed = self.feed(seen)
        if not self.step.after:
            return fed
        first, frames = fed.num_protected, fed.clips_per_video
        x, keys = (v[:, first:].unflatten(0, (-1, frames)) for v in (fed.x_CND, cues.keys))
        kept = survivors(x, keys, drop=self.step.after, backward=self.backward)
        return keep(fed, first + kept.flatten(0, 1))


@torch.no_grad()
def survivors(x_VFND: Tensor, keys_VFND: Tensor, *, drop: int, backward: bool) -> Tensor:
    """(V, F, N, D) tokens and keys -> (V, F, N - drop): the tokens of every frame that stay."""
    weak = 1 - _activation(x_VFND)
    unit = normalize(keys_VFND.float(), dim=-1)
    if backward:
        weak, unit = weak.flip(1), unit.flip(1)
    stay = unit.shape[2] - drop
    with torch.autocast(unit.device.type, enabled=False):  # which would round to bf16
        kept = [_unlike(unit[:, 0])[:, :stay]]
        # Column j says where token j of the frame before continues in this one.
        flow = (unit[:, 1:] @ unit[:, :-1].mT).softmax(dim=-2)
        seen = torch.ones_like(weak[:, 0])
        for t in range(flow.shape[1]):  # each frame depends on what stayed in the one before
            seen = (flow[:, t] @ seen[..., None]).squeeze(-1)
            index = (seen * weak[:, t + 1]).argsort(dim=-1, stable=True)[:, :stay]
            kept.append(index)
            seen = seen * torch.zeros_like(seen).scatter(1, index, 1.0)
            seen = seen / seen.sum(dim=-1, keepdim=True)
    order = torch.stack(kept, dim=1)
    return order.flip(1) if backward else order


def _unlike(unit_VND: Tensor) -> Tensor:
    """(V, N): the odd tokens, then the even ones, those unlike any odd one first."""
    even, odd = unit_VND[:, ::2], unit_VND[:, 1::2]
    nearest = (even @ odd.mT).amax(dim=-1)
    numbers = torch.arange(1, unit_VND.shape[1], 2, device=unit_VND.device)
    first = numbers.expand(len(unit_VND), -1)
    return torch.cat([first, 2 * nearest.argsort(dim=-1, stable=True)], dim=1)


def _activation(x_VFND: Tensor) -> Tensor:
    """(V, F, N): 0 for the token of a frame with the least absolute sum, 1 for that with most."""
    strength = x_VFND.float().abs().sum(dim=-1)
    least, most = strength.aminmax(dim=-1, keepdim=True)
    span = most - least
    return (strength - least) / torch.where(span > 0, span, 1.0)  # a flat frame has no weak token


@dataclass(frozen=True)
class STA(Compression):
    """Pruning along the frames; every second stage walks backward.

    r: patches of every frame that leave at each stage; at most half of them do.
    at: the blocks after which they leave; None is the thirds of the depth, 0, 4 and 8 of 12.
    """

    r: tuple[int, ...] = (10, 9, 9)
    at: tuple[int, ...] | None = None

    drops_patches: ClassVar[bool] = True
    of_frames: ClassVar[str] = "walks from frame to frame"

    def __post_init__(self) -> None:
        if not self.r or min(self.r) < 0:
            raise BadSetting(f"sta.r is {self.r}; patches per stage, each 0 or more")
        if self.at is not None and len(self.at) != len(self.r):
            raise BadSetting(f"sta.at has {len(self.at)} blocks, sta.r {len(self.r)} numbers")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        at = stages(depth, 3) if self.at is None else self.at
        check_blocks("sta.at", at, depth)
        wanted = dict(zip(at, self.r, strict=False))  # a shallow model has fewer stages
        n, steps = tokens, []
        for block in range(depth):
            free = n - protected
            after = min(wanted.get(block, 0), free // 2)
            flow = (frames - 1) * free * free  # scores once, followed once
            walked = (free // 2) * (free - free // 2) + flow
            steps.append(
                Step(
                    clips=frames,
                    attended=n,
                    protected=protected,
                    after=after,
                    backward=block in at and at.index(block) % 2 == 1,
                    dots=Dots(keys=walked, scalars=flow) if after else Dots(),
                )
            )
            n -= after
        return tuple(steps)

    def scaled(self, strength: float, *, counts: float | None = None) -> STA:
        """More patches at every stage."""
        return replace(
            self, r=tuple(scaled_count(r, strength if counts is None else counts) for r in self.r)
        )

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Prune after the whole of `layer`."""
        return Traversed(layer, step, backward=step.backward)
