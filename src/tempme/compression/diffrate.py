"""DiffRate: learnt rates of pruning and merging.

Chen et al., ICCV 2023, arXiv 2305.17997 (sections 3.2 and 3.3; code: OpenGVLab/DiffRate 91ae3e3).

Between attention and the MLP of every block, the patches of a frame are ranked by the attention of
its class token. The `prune` first tokens stay; of these, the ranks from `merge` on are each
averaged (plainly) into the most similar token above, by the cosine of whole tokens; the class
token takes part in neither. A destination's size grows by the size of each source times its
cosine, so sizes are weights for proportional attention and not counts of patches. Both rates of
all blocks (tokens kept, with the class token) are learnt once, by `diffrate_rates.learn_rates`,
and frozen into integers. ViT-B/16 uses the rates that the authors released for ViT-B MAE at 11.5
G, as in the paper (12 x 49 tokens, 138.5 GFLOPs). For ViT-B/32 none were published: the default
here was not learnt, it is a fixed fallback that meets the paper's 12 x 20 tokens and 36.8 GFLOPs;
other sizes scale it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import Compressed
from tempme.compression.method import Compression
from tempme.errors import BadSetting
from tempme.merging import Selection, fuse, keep
from tempme.schedule import Dots, Step
from tempme.tokens import Tokens

SMALLEST_SIZE = 1e-6  # opposite tokens could make a size negative, and its logarithm NaN


class Ranked(Compressed):
    """Prune the tokens of the last ranks, merge those of the ranks before."""

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """`step.intra` tokens leave, of which the `step.pruned` least attended are lost."""
        if not self.step.intra:
            return tokens
        first = tokens.num_protected
        attention = cues.class_attention(1).detach()[:, first:]
        rank = first + attention.argsort(dim=-1, descending=True, stable=True)
        ranked = keep(tokens, rank[:, : tokens.num_free - self.step.pruned])
        return merge_last(ranked, self.step.intra - self.step.pruned)


def merge_last(tokens: Tokens, r: int) -> Tokens:
    """Average each of the last r tokens into the most similar one before them."""
    if r == 0:
        return tokens
    clips, n, first = len(tokens.x_CND), len(tokens), tokens.num_protected
    cosine, partner = _nearest(tokens.x_CND[:, first:], r)
    numbers = torch.arange(n, device=partner.device).expand(clips, -1)
    moves = Selection(numbers[:, : n - r], numbers[:, n - r :], first + partner, n, n - r)
    old = tokens.sizes.squeeze(-1).detach()
    size = old[:, : n - r].scatter_add(1, moves.slots, old[:, n - r :] * cosine)
    fused = fuse(replace(tokens, size_CN1=None), moves)  # all sizes 1: the plain mean
    return replace(fused, size_CN1=size.clamp(min=SMALLEST_SIZE)[..., None])


@torch.no_grad()
def _nearest(x_CND: Tensor, r: int) -> tuple[Tensor, Tensor]:
    """(C, r) each: the last r tokens' greatest cosine to a token before, and which one that is."""
    unit = normalize(x_CND.float(), dim=-1)
    with torch.autocast(unit.device.type, enabled=False):  # which would round to bf16
        best, partner = (unit[:, -r:] @ unit[:, :-r].mT).max(dim=-1)
    return best, partner


class Rates(NamedTuple):
    """Tokens of a frame kept by the two steps of every block, the class token among them."""

    prune: tuple[int, ...]
    merge: tuple[int, ...]


RELEASED_B16 = Rates(
    prune=(197, 196, 182, 172, 162, 147, 131, 109, 101, 94, 70, 49),
    merge=(197, 192, 178, 164, 150, 133, 115, 101, 96, 82, 49, 49),
)
FALLBACK_B32 = Rates(
    prune=(50, 49, 47, 43, 39, 35, 32, 30, 28, 24, 21, 20),
    merge=(50, 48, 45, 41, 37, 33, 31, 29, 26, 22, 20, 20),
)


@dataclass(frozen=True)
class DiffRate(Compression):
    """Both rates of every block, as integers.

    A number above what is there does nothing. Both None take the fallback for ViT-B/32, scaled to
    the tokens and the depth of the model.

    prune: tokens kept in every block by the first step, the class token among them.
    merge: tokens kept in every block by the second step, the class token among them.
    """

    prune: tuple[int, ...] | None = None
    merge: tuple[int, ...] | None = None

    drops_patches: ClassVar[bool] = True
    of_class_token: ClassVar[str] = "the attention of the class token, which ranks the patches"

    def __post_init__(self) -> None:
        prune, merge = self.prune, self.merge
        if prune is None or merge is None:
            if prune is not merge:
                raise BadSetting("diffrate.prune and diffrate.merge are given both, or neither")
            return
        if len(prune) != len(merge):
            raise BadSetting(
                f"diffrate.prune has {len(prune)} rates, diffrate.merge {len(merge)}; each has "
                f"one for every block"
            )
        if min(*prune, *merge, 2) < 2:
            raise BadSetting(
                f"diffrate keeps {min(*prune, *merge)} tokens; the fewest are 2, the class token "
                f"and a patch"
            )

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        rates = self.rates(tokens, depth)
        n, steps = tokens, []
        for prune, merge in zip(*rates, strict=True):
            left = min(n, prune)
            out = min(left, merge)
            compared = n + (left - out) * (out - 1) if out < n else 0
            steps.append(
                Step(
                    clips=frames,
                    attended=n,
                    intra=n - out,
                    pruned=n - left,
                    protected=protected,
                    dots=Dots(tokens=frames * compared),
                )
            )
            n = out
        return tuple(steps)

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Prune and merge after the attention of `layer`."""
        return Ranked(layer, step)

    def rates(self, tokens: int, depth: int) -> Rates:
        """The rates of a backbone with so many tokens a frame and blocks."""
        if self.prune is None or self.merge is None:
            return Rates(*(_scaled(counts, tokens, depth) for counts in FALLBACK_B32))
        if len(self.prune) != depth:
            raise BadSetting(
                f"diffrate has rates for {len(self.prune)} blocks, the backbone has {depth}: learn "
                f"rates for it, or give none to scale the fallback"
            )
        return Rates(self.prune, self.merge)


def _scaled(counts: tuple[int, ...], tokens: int, depth: int) -> tuple[int, ...]:
    """The same shares of other tokens, stretched over another depth."""
    blocks = (block * len(counts) // depth for block in range(depth))
    return tuple(max(2, round(counts[block] * tokens / counts[0])) for block in blocks)
