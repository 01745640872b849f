"""PiToMe: tokens that have many like them merge; those that stand alone stay.

Tran et al., NeurIPS 2024, arXiv 2405.16148 (code: hchautran/PiToMe). The energy of a token is the
mean over all patches of the frame of ELU(cosine - margin), high in a large crowd of tokens that
are alike. The 2 r patches of the highest energy may merge: by rank they alternate between two sets,
and every one of the first is averaged, weighted by size, into the one of the second that is most
like it. The `margin` falls linearly through the blocks, to almost none in the last. Here it stands
where ToMe does, between attention and the MLP, with as many tokens, `r` rather than a share of
them, and attention that counts a token as often as its patches; likeness is that of whole tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import elu, normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import Compressed
from tempme.compression.method import Compression, scaled_count
from tempme.errors import BadSetting
from tempme.merging import Selection, fuse, others
from tempme.schedule import Dots, Step, schedule
from tempme.tokens import Tokens

# Shape letters: C clips in the batch, N tokens of a clip, P of them patches, D width.

EQUAL_DIGITS = 5  # of energies: what differs by less is rounding of their sums


class Crowded(Compressed):
    """Merge `step.intra` tokens that have many like them."""

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:  # noqa: ARG002
        """Energies and partners by whole tokens."""
        if self.step.intra == 0:
            return tokens
        led, margin = tokens.num_protected, self.step.margin
        return fuse(tokens, match_crowds(tokens.x_CND, self.step.intra, led, margin=margin))


@torch.no_grad()
def match_crowds(x_CND: Tensor, r: int, num_protected: int, *, margin: float) -> Selection:
    """The r tokens that merge, and where; in fp32, and among equals the first token wins."""
    n, p = x_CND.shape[1], num_protected
    unit = normalize(x_CND[:, p:].float(), dim=-1)
    with torch.autocast(unit.device.type, enabled=False):  # which would round to bf16
        alike = unit @ unit.mT
    energy = elu(alike - margin).mean(dim=-1).round(decimals=EQUAL_DIGITS)
    order = energy.sort(dim=-1, descending=True, stable=True).indices
    a, b = order[:, : 2 * r : 2], order[:, 1 : 2 * r : 2]
    of_a = alike.gather(1, a[..., None].expand(-1, -1, n - p))
    best = of_a.gather(2, b[:, None].expand(-1, r, -1)).max(dim=-1).indices
    stay = others(a, n - p)
    place = torch.zeros_like(order).scatter(1, stay, _numbers(stay))
    head = torch.arange(p, device=a.device).expand(len(a), -1)
    sources = torch.cat([head, p + stay], dim=1)
    return Selection(sources, p + a, p + place.gather(1, b.gather(1, best)), n, n - r)


def _numbers(like_CM: Tensor) -> Tensor:
    return torch.arange(like_CM.shape[1], device=like_CM.device).expand_as(like_CM)


@dataclass(frozen=True)
class PiToMe(Compression):
    """Merging inside frames, the most redundant tokens first.

    r: tokens that leave every frame in every block; at most half of the patches do.
    margin: cosine above which tokens count as alike, in the first block.
    proportional: attention counts a token as often as its patches.
    """

    r: int = 2
    margin: float = 0.95
    proportional: bool = True

    def __post_init__(self) -> None:
        if self.r < 0:
            raise BadSetting(f"pitome.r is {self.r}; tokens merged per block, so 0 or more")
        if not -1 <= self.margin <= 1:
            raise BadSetting(f"pitome.margin is {self.margin}; it is a cosine: from -1 to 1")

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block: that of ToMe, the margin, and what all cosines cost."""
        plan = schedule(tokens=tokens, frames=frames, depth=depth, protected=protected, r=self.r)
        return tuple(
            replace(step, margin=self.margin * (1 - block / depth), dots=_dots(step))
            for block, step in enumerate(plan)
        )

    def scaled(self, strength: float, *, counts: float | None = None) -> PiToMe:
        """More tokens of every frame."""
        return replace(self, r=scaled_count(self.r, strength if counts is None else counts))

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Merge after the attention of `layer`."""
        return Crowded(layer, step, proportional=self.proportional)


def _dots(step: Step) -> Dots:
    free = step.attended - step.protected
    return Dots(tokens=step.clips * free * free if step.intra else 0)
