"""Token merging, as pure functions on Tokens (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tempme.errors import BadSetting
from tempme.tokens import Tokens

# Shape letters: C clips in the batch, N tokens per clip, D width.
# The free tokens alternate between set A, whose tokens may move, and set B, which receives them.


FAR = 4.0  # more than any two cosines differ


@dataclass(frozen=True)
class Matching:
    """Which tokens of A stay, which move, and to which tokens of B."""

    kept: Tensor  # (C, |A| - r) indices into A, ascending
    moved: Tensor  # (C, r) indices into A, most similar first
    target: Tensor  # (C, r) indices into B
    a_starts_at: int  # 0 or 1: where A begins among the free tokens
    num_protected: int
    num_free: int

    @property
    def sources(self) -> Tensor:
        """(C, N - r): the token that each token of the output started as."""
        p, n = self.num_protected, self.num_free
        like = self.kept
        head = torch.arange(p, device=like.device)
        b = torch.arange(p + 1 - self.a_starts_at, p + n, 2, device=like.device)
        kept = self._of_a(like)
        return torch.cat([head.expand(len(like), -1), kept, b.expand(len(like), -1)], dim=1)

    @property
    def moving(self) -> Tensor:
        """(C, r): the tokens that move."""
        return self._of_a(self.moved)

    @property
    def slots(self) -> Tensor:
        """(C, r): where in the output the moving tokens arrive."""
        return self.num_protected + self.kept.shape[1] + self.target

    @property
    def assignment(self) -> Tensor:
        """(C, N): the token of the output that each token ends in."""
        sources, moving = self.sources, self.moving
        n = self.num_protected + self.num_free
        out = torch.empty(len(sources), n, dtype=torch.int64, device=sources.device)
        places = torch.arange(sources.shape[1], device=sources.device).expand_as(sources)
        return out.scatter(1, sources, places).scatter(1, moving, self.slots)

    @property
    def ends(self) -> Tensor:
        """(C N,): the row of the merged batch that each row of the batch ends in."""
        return _flat(self.assignment, self.num_protected + self.num_free - self.moved.shape[1])

    def _of_a(self, index: Tensor) -> Tensor:
        return self.num_protected + self.a_starts_at + 2 * index


@dataclass(frozen=True)
class Selection:
    """Which tokens stay, and which move where; tokens in neither are dropped."""

    sources: Tensor  # (C, M) the tokens that stay, in the order of the output
    moving: Tensor  # (C, r) the tokens that move
    slots: Tensor  # (C, r) where in the output they arrive
    num_tokens: int
    num_out: int

    @property
    def ends(self) -> Tensor:
        """(C N,): the row of the output that each row of the batch ends in; -1 if dropped."""
        like = self.sources
        out = torch.full((len(like), self.num_tokens), -1, device=like.device)
        places = torch.arange(like.shape[1], device=like.device).expand_as(like)
        out = out.scatter(1, like, places).scatter(1, self.moving, self.slots)
        return torch.where(out < 0, out, out + self.num_out * _numbers(out)).flatten()


@dataclass(frozen=True)
class Join:
    """Every `k` neighbouring clips of (C, N, ...) became one."""

    k: int
    shape: tuple[int, int]  # C, N
    num_protected: int
    device: torch.device

    @property
    def ends(self) -> Tensor:
        """(C N,): the row of the joined batch that each row of the batch ends in."""
        rows = torch.arange(self.shape[0] * self.shape[1], device=self.device)
        begins = concatenate(rows.view(*self.shape, 1), self.k, self.num_protected).flatten()
        return torch.empty_like(rows).scatter(0, begins, rows)


@torch.no_grad()
def match(
    similar_by_CND: Tensor, r: int, num_protected: int, *, group_CN: Tensor | None = None
) -> Matching:
    """Bipartite soft matching: the r tokens of A that are closest to a token of B.

    Always in fp32; among equals the first token wins, on every device. group_CN: numbers of all
    tokens; those of one number find each other before any others do.
    """
    free = F.normalize(similar_by_CND[:, num_protected:].float(), dim=-1)
    a_starts_at = num_protected % 2  # A holds the even positions of the whole sequence
    a, b = free[:, a_starts_at::2], free[:, 1 - a_starts_at :: 2]
    if not 0 <= r <= a.shape[1] or (r and not b.shape[1]):
        most = a.shape[1] if b.shape[1] else 0
        raise BadSetting(f"{free.shape[1]} free tokens cannot lose {r}: at most {most}")
    with torch.autocast(free.device.type, enabled=False):  # which would round to bf16
        alike = a @ b.mT
    if group_CN is not None:
        group = group_CN[:, num_protected:]
        apart = group[:, a_starts_at::2, None] != group[:, None, 1 - a_starts_at :: 2]
        alike = alike - FAR * apart
    best, partner = alike.max(dim=-1)
    moved = best.sort(dim=-1, descending=True, stable=True).indices[:, :r]
    kept = others(moved, a.shape[1])
    return Matching(
        kept, moved, partner.gather(1, moved), a_starts_at, num_protected, free.shape[1]
    )


def merge(tokens: Tokens, r: int, *, similar_by: Tensor, adding: Tensor | None = None) -> Tokens:
    """Average the r most similar pairs, weighted by token size.

    `adding` (C, N, D), if given, joins the tokens after matching and before averaging.
    """
    if r == 0:
        return tokens
    x = tokens.x_CND if adding is None else tokens.x_CND + adding
    return fuse(replace(tokens, x_CND=x), match(similar_by, r, tokens.num_protected))


def fuse(tokens: Tokens, pairs: Matching | Selection) -> Tokens:
    """Move tokens into their targets, as the mean weighted by size; every token stays or moves."""
    size = tokens.sizes
    clips, n, width = tokens.x_CND.shape
    left = pairs.sources.shape[1]
    places = _Places(
        sources=_flat(pairs.sources, n),
        moving=_flat(pairs.moving, n),
        slots=_flat(pairs.slots, left),
    )
    flat_size = size.flatten(0, 1)
    old = flat_size[places.sources]
    new = old.index_add(0, places.slots, flat_size[places.moving])
    flat = tokens.x_CND.flatten(0, 1)
    x = _WeightedMean.apply(flat, flat_size, old, new, *places)  # type: ignore[no-untyped-call]
    return replace(
        tokens,
        x_CND=x.view(clips, left, width),
        size_CN1=new.view(clips, left, 1),
        place_CN=_gathered(tokens.place_CN, pairs.sources),
        moves=(*tokens.moves, pairs),
    )


def keep(tokens: Tokens, index: Tensor) -> Tokens:
    """The protected tokens, then the tokens at `index` (C, K); all others are dropped."""
    clips, n, width = tokens.x_CND.shape
    head = torch.arange(tokens.num_protected, device=index.device).expand(clips, -1)
    sources = torch.cat([head, index], dim=1)
    rows, out, none = _flat(sources, n), sources.shape[1], index[:, :0]
    size = tokens.size_CN1
    return replace(
        tokens,
        x_CND=tokens.x_CND.reshape(-1, width).index_select(0, rows).view(clips, out, width),
        size_CN1=None if size is None else size.flatten()[rows].view(clips, out, 1),
        place_CN=_gathered(tokens.place_CN, sources),
        moves=(*tokens.moves, Selection(sources, none, none, n, out)),
    )


class _Places(NamedTuple):
    """A Matching over the rows of the whole batch."""

    sources: Tensor
    moving: Tensor
    slots: Tensor


class _WeightedMean(torch.autograd.Function):
    """Row-sparse on the way forward, one gather on the way back.

    Merging is linear in the tokens once the pairs are known: a token that holds a share w of its
    slot receives w times the gradient of the slot. Sizes carry no gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        size: Tensor,
        old: Tensor,
        new: Tensor,
        sources: Tensor,
        moving: Tensor,
        slots: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(size, new, sources, moving, slots)
        out = x[sources]
        # A target of several tokens is listed several times: each time the same row is written.
        out[slots] = out[slots] * (old / new)[slots].to(x.dtype)
        out.index_add_(0, slots, x[moving] * (size[moving] / new[slots]).to(x.dtype))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        size, new, sources, moving, slots = ctx.saved_tensors
        grad = grads[0]
        ends = torch.empty(len(size), dtype=torch.int64, device=grad.device)
        ends[sources] = torch.arange(len(sources), device=grad.device)
        ends[moving] = slots
        share = (size / new[ends]).to(grad.dtype)
        return grad[ends] * share, None, None, None, None, None, None


def join_clips(tokens: Tokens, k: int) -> Tokens:
    """Concatenate every k neighbouring clips; protected tokens stay in front."""
    if tokens.clips_per_video % k:
        raise BadSetting(f"{tokens.clips_per_video} clips cannot be joined by {k}")
    size, (clips, n, _) = tokens.size_CN1, tokens.x_CND.shape
    place = tokens.place_CN
    joined = Join(k, (clips, n), tokens.num_protected, tokens.x_CND.device)
    return replace(
        tokens,
        x_CND=concatenate(tokens.x_CND, k, tokens.num_protected),
        size_CN1=None if size is None else concatenate(size, k, tokens.num_protected),
        place_CN=None if place is None else concatenate(place, k, tokens.num_protected),
        clips_per_video=tokens.clips_per_video // k,
        num_protected=tokens.num_protected * k,
        moves=(*tokens.moves, joined),
    )


def concatenate(x_CND: Tensor, k: int, num_protected: int) -> Tensor:
    """(k C, N, ...) -> (C, k N, ...): the protected tokens of all k clips, then the free ones."""
    by_clip = x_CND.unflatten(0, (-1, k))
    head, free = by_clip[:, :, :num_protected], by_clip[:, :, num_protected:]
    return torch.cat([head.flatten(1, 2), free.flatten(1, 2)], dim=1)


def others(index: Tensor, n: int) -> Tensor:
    """(C, r) -> (C, n - r): the numbers below n that are not in `index`, ascending."""
    clips, r = index.shape
    stays = torch.ones(clips, n, dtype=torch.bool, device=index.device).scatter(1, index, False)
    # The shape must not depend on the data: numbers that leave go to a last column, cut off.
    place = torch.where(stays, stays.cumsum(dim=1) - 1, n - r)
    numbers = torch.arange(n, device=index.device).expand(clips, n)
    out = torch.empty(clips, n - r + 1, dtype=torch.int64, device=index.device)
    return out.scatter(1, place, numbers)[:, : n - r]


def _gathered(place_CN: Tensor | None, sources: Tensor) -> Tensor | None:
    return None if place_CN is None else place_CN.gather(1, sources)


def _flat(index: Tensor, n: int) -> Tensor:
    """Indices within clips of n rows -> indices into all rows of the batch."""
    return (index + n * _numbers(index)).flatten()


def _numbers(like: Tensor) -> Tensor:
    """(C, 1): the number of every clip."""
    return torch.arange(len(like), device=like.device)[:, None]
