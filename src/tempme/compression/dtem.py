"""DTEM: which tokens are alike is learnt, by a map of its own.

Lee and Hong, NeurIPS 2024, arXiv 2412.10569 (code: movinghoon/dtem). Merging is that of ToMe, by a
metric that is made for nothing else: a linear map, 64 wide, of the normed tokens that enter a
block, from which no gradient goes back into them. To learn it, merging is relaxed in training:
every token of one set may go to its `nearest` of the other, in rounds of a softmax over all pairs,
`r` of them, each hiding what has gone before; so tokens leave in parts, the sequence keeps its
length, and sizes, by which attention counts, carry the gradient. Tokens of which least is left come
last, and those beyond the number that a block is to see merge no more. So training costs what the
dense model costs. The map starts at random; untrained, it is a random projection. The norm before
it has no weights, for the map would take them up. In the last block, of which class tokens alone
are read, nothing is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, normalize

from tempme.backbones.layers import Cues, Layer
from tempme.compression.layers import ImgMe
from tempme.compression.method import Compression, scaled_count
from tempme.errors import BadSetting
from tempme.merging import Selection, concatenate, merge
from tempme.schedule import Dots, Step, schedule
from tempme.tokens import Tokens

# Shape letters: C clips in the batch, N tokens per clip, A and B tokens of either set, D width,
# M numbers of the metric.

METRIC = 64
TEMPERATURE = 0.1  # of likeness, and again of every round
LEAST = 1e-6  # of a token: attention takes the logarithm of sizes


class Decoupled(ImgMe):
    """ImgMe by a metric that is learnt; relaxed in training."""

    def __init__(self, layer: Layer, step: Step, width: int, *, nearest: int) -> None:
        super().__init__(layer, step, proportional=True)
        self.nearest = nearest
        self.metric = nn.Linear(width, METRIC)

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention, then merging by what entered it."""
        x = tokens.x_CND.detach()
        metric = self.metric(layer_norm(x, x.shape[-1:]))
        seen, cues = self.layer.attend(tokens)
        k = tokens.clips_per_video // seen.clips_per_video
        if k > 1:  # a tuning's layer has joined the clips
            metric = concatenate(metric, k, tokens.num_protected)
        if not self.training:
            return merge(seen, self.step.intra, similar_by=metric), cues
        return soften(seen, metric, self.step, nearest=self.nearest), cues


def soften(tokens: Tokens, metric_CNM: Tensor, step: Step, *, nearest: int) -> Tokens:
    """`step.intra` tokens of the first `step.attended` leave in parts; none is removed."""
    if step.intra == 0:
        return tokens
    p, n = tokens.num_protected, step.attended
    first = p % 2  # as in `merging.match`
    unit = normalize(metric_CNM[:, p:n].float(), dim=-1)
    with torch.autocast(unit.device.type, enabled=False):  # which would round to bf16
        share = shares(unit[:, first::2] @ unit[:, 1 - first :: 2].mT, step.intra, nearest=nearest)
        x, size = tokens.x_CND.float(), tokens.sizes
        a, b = (x[:, p:n][:, start::2] for start in (first, 1 - first))
        held_a, held_b = (size[:, p:n][:, start::2] for start in (first, 1 - first))
        received = held_b + share.mT @ held_a
        mean = (held_b * b + share.mT @ (held_a * a)) / received
    left = (held_a * (1 - share.sum(dim=-1, keepdim=True))).clamp(min=LEAST)
    order = torch.cat([left, received], dim=1).squeeze(-1)
    order = order.sort(dim=-1, descending=True, stable=True).indices
    return _in_order(tokens, torch.cat([a, mean], 1), torch.cat([left, received], 1), order, n)


def shares(alike_CAB: Tensor, r: int, *, nearest: int) -> Tensor:
    """(C, A, B) cosines -> how much of each token of A goes to each of B; at most all of it."""
    best, to = alike_CAB.topk(min(nearest, alike_CAB.shape[-1]), dim=-1)
    score, taken = best / TEMPERATURE, torch.zeros_like(best)
    for _ in range(r):
        now = (score / TEMPERATURE).flatten(1).softmax(dim=-1).view_as(score)
        taken = taken + now
        free = (1 - now.sum(dim=-1, keepdim=True)).clamp(min=torch.finfo(torch.float32).eps)
        score = score + free.log()
    over = taken.sum(dim=-1, keepdim=True).detach().clamp(min=1)
    return torch.zeros_like(alike_CAB).scatter(-1, to, taken / over)


def _in_order(tokens: Tokens, free: Tensor, held: Tensor, order: Tensor, n: int) -> Tokens:
    """Tokens of which most is left first; behind them those that merge no more."""
    p, whole = tokens.num_protected, len(tokens)
    clips, device = len(order), order.device
    x = free.gather(1, order[..., None].expand_as(free)).to(tokens.x_CND.dtype)
    size = held.gather(1, order[..., None])
    numbers = torch.arange(p, n, device=device)
    split = torch.cat([numbers[p % 2 :: 2], numbers[1 - p % 2 :: 2]])
    head, tail = torch.arange(p, device=device), torch.arange(n, whole, device=device)
    sources = torch.cat([head.expand(clips, -1), split[order], tail.expand(clips, -1)], dim=1)
    moved = Selection(sources, sources[:, :0], sources[:, :0], whole, whole)
    return replace(
        tokens,
        x_CND=torch.cat([tokens.x_CND[:, :p], x, tokens.x_CND[:, n:]], dim=1),
        size_CN1=torch.cat([tokens.sizes[:, :p], size, tokens.sizes[:, n:]], dim=1),
        moves=(*tokens.moves, moved),
    )


@dataclass(frozen=True)
class DTEM(Compression):
    """Merging inside frames by a learnt metric.

    r: tokens that leave every frame in every block; at most half of the patches do.
    nearest: tokens that a token may go to in training, in parts.
    """

    r: int = 2
    nearest: int = 3

    def __post_init__(self) -> None:
        if self.r < 0 or self.nearest < 1:
            raise BadSetting(
                f"dtem.r is {self.r} and dtem.nearest {self.nearest}; r is 0 or more, nearest 1 or "
                f"more"
            )

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block, and what the metric costs."""
        plan = schedule(tokens=tokens, frames=frames, depth=depth, protected=protected, r=self.r)
        return tuple(replace(step, dots=_dots(step)) for step in plan)

    def scaled(self, strength: float, *, counts: float | None = None) -> DTEM:
        """More tokens of every frame."""
        return replace(self, r=scaled_count(self.r, strength if counts is None else counts))

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """Merge after the attention of `layer`; where few tokens are served nothing is learnt."""
        if step.serves is not None or step.intra == 0:
            return ImgMe(layer, step, proportional=True)
        return Decoupled(layer, step, width, nearest=self.nearest)


def _dots(step: Step) -> Dots:
    if step.intra == 0:
        return Dots()
    free = step.attended - step.protected
    compared = (free // 2) * (free - free // 2)
    return Dots(tokens=step.clips * step.attended * METRIC, scalars=step.clips * compared * METRIC)
