"""Learning the rates of DiffRate (Chen et al., ICCV 2023, arXiv 2305.17997) on a frozen backbone.

Every step (prune, merge) of every block but the first chooses among numbers of tokens to keep, by
the softmax of logits that alone learn. Its expectation, rounded up straight-through, is the number;
the token of importance rank j stays with the probability of all candidates of at least j. While
learning, no token is removed: a mask leaves it out of attention, and carries the gradient. The loss
is the task's, and the squared distance of the multiply-adds to a target. Three epochs of AdamW on
the logits; what comes out are integers, and from then on only the hard path of `diffrate` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.layers import Block
from tempme.backbones.vision import VisionTower
from tempme.errors import BadSetting

# Shape letters: C frames in the batch, H heads, N tokens of a frame, D width.

SOFTMAX_EPSILON = 1e-6


class Rate(nn.Module):
    """How many tokens one step of one block keeps."""

    candidates: Tensor

    def __init__(self, patches: int, granularity: int) -> None:
        super().__init__()
        self.register_buffer("candidates", torch.arange(patches, 0, -granularity).float())
        self.logits = nn.Parameter(torch.zeros(len(self.candidates)))
        self.patches = patches

    def kept(self) -> Tensor:
        """The expected number, rounded up, and the class token: a scalar that carries gradient."""
        expected = self.candidates @ self.logits.softmax(dim=0)
        return expected + (expected.ceil() - expected).detach() + 1

    def mask(self, kept: int, present: int | None = None) -> Tensor:
        """(patches + 1,) by importance rank: 0 from `kept` to `present`, 1 elsewhere.

        Ranks that are gone before keep the factor 1, so that they do not cut the gradient of
        earlier steps. The gradient is that of the probability to stay.
        """
        ranks = torch.arange(self.patches + 1, device=self.logits.device)
        stays = self.logits.softmax(dim=0) @ (self.candidates[:, None] >= ranks).float()
        last = len(ranks) if present is None else present
        hard = ((ranks < kept) | (ranks >= last)).float()
        return hard + (stays - stays.detach())


class BlockRates(nn.Module):
    """Both steps of a block."""

    def __init__(self, patches: int, granularity: int) -> None:
        super().__init__()
        self.prune, self.merge = Rate(patches, granularity), Rate(patches, granularity)


def all_rates(patches: int, depth: int, granularity: int = 1) -> nn.ModuleList:
    """BlockRates of every block; the first has one candidate and keeps everything."""
    if not 1 <= granularity <= patches:
        raise BadSetting(f"granularity is {granularity}; it counts tokens: from 1 to {patches}")
    return nn.ModuleList(
        BlockRates(patches, granularity if block else patches + 1) for block in range(depth)
    )


@dataclass(frozen=True)
class SoftTokens:
    """Tokens of which some only count as gone."""

    x_CND: Tensor
    size_CN: Tensor
    mask_CN: Tensor  # 1 for tokens that are there
    present: int  # how many are, the same number in every frame
    kept: tuple[tuple[Tensor, Tensor], ...] = ()  # numbers that both steps of each block chose

    @classmethod
    def of(cls, x_CND: Tensor) -> SoftTokens:
        """All tokens present."""
        ones = torch.ones_like(x_CND[..., 0])
        return cls(x_CND, ones, ones, x_CND.shape[1])


def soft_block(block: Block, tokens: SoftTokens, rates: BlockRates) -> SoftTokens:
    """A block with both steps between attention and the MLP, differentiable in the rates."""
    q, k, v = block.attn.project(block.ln_1(tokens.x_CND))
    scores = q @ k.mT * q.shape[-1] ** -0.5 + tokens.size_CN.log()[:, None, None]
    seen = masked_softmax(scores, tokens.mask_CN)
    attended = replace(tokens, x_CND=tokens.x_CND + block.attn.gather(seen @ v))
    ranked = _by_importance(attended, seen[:, :, 0, 1:].mean(dim=1))
    prune, merge = rates.prune.kept(), rates.merge.kept()
    left = _soft_merge(_soft_prune(ranked, rates.prune, int(prune)), rates.merge, int(merge))
    x = left.x_CND
    return replace(left, x_CND=x + block.mlp(block.ln_2(x)), kept=(*tokens.kept, (prune, merge)))


def masked_softmax(scores_CHNN: Tensor, mask_CN: Tensor) -> Tensor:
    """Attention among the tokens that are there, each also to itself."""
    n = scores_CHNN.shape[-1]
    mask = mask_CN[:, None, None]
    itself = torch.eye(n, device=mask.device, dtype=mask.dtype)
    weight = (scores_CHNN - scores_CHNN.max(dim=-1, keepdim=True).values).float().exp()
    weight = weight * (mask + (1 - mask) * itself)
    total = weight.sum(dim=-1, keepdim=True)
    return (weight + SOFTMAX_EPSILON / n) / (total + SOFTMAX_EPSILON)


def _by_importance(tokens: SoftTokens, attention: Tensor) -> SoftTokens:
    """The class token, then the most attended patches first."""
    patches = 1 + attention.argsort(dim=-1, descending=True, stable=True)
    order = torch.cat([torch.zeros_like(patches[:, :1]), patches], dim=1)
    return replace(
        tokens,
        x_CND=tokens.x_CND.gather(1, order[..., None].expand_as(tokens.x_CND)),
        size_CN=tokens.size_CN.gather(1, order),
        mask_CN=tokens.mask_CN.gather(1, order),
    )


def _soft_prune(tokens: SoftTokens, rate: Rate, kept: int) -> SoftTokens:
    if kept >= tokens.present:
        return tokens
    mask = tokens.mask_CN * rate.mask(kept, tokens.present)
    return replace(tokens, mask_CN=mask, present=kept)


def _soft_merge(tokens: SoftTokens, rate: Rate, kept: int) -> SoftTokens:
    """Targets become the plain mean of themselves and their sources, which stay behind."""
    if kept >= tokens.present:
        return tokens
    x, present = tokens.x_CND, tokens.present
    cosine, target = _nearest(x[:, :present], kept)
    sources = x[:, kept:present]
    wide = target[..., None].expand_as(sources)
    means = x[:, :kept].scatter_reduce(1, wide, sources, reduce="mean")
    size = tokens.size_CN
    own, moved = size[:, :kept].clamp(min=1), (size[:, kept:present] * cosine).clamp(min=1)
    return replace(
        tokens,
        x_CND=torch.cat([means, x[:, kept:]], dim=1),
        size_CN=torch.cat([own.scatter_add(1, target, moved), moved, size[:, present:]], dim=1),
        mask_CN=tokens.mask_CN * rate.mask(kept, present),
        present=kept,
    )


@torch.no_grad()
def _nearest(x_CND: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Of the tokens from `kept` on: the greatest cosine to a patch before, and which that is."""
    unit = normalize(x_CND.float(), dim=-1)
    best, partner = (unit[:, kept:] @ unit[:, 1:kept].mT).max(dim=-1)
    return best, partner + 1


def multiply_adds(
    kept: Sequence[tuple[Tensor, Tensor]], *, tokens: int, width: int, patch: int, outputs: int
) -> Tensor:
    """Of a frame, by DiffRate's formula; the gradient goes to both steps, whichever is smaller."""
    n = torch.tensor(float(tokens), device=kept[0][0].device)
    total = n * width * 3 * patch**2 + width * outputs
    for prune, merge in kept:
        total = total + 4 * n * width**2 + 2 * n * n * width
        smallest = torch.stack([n, prune, merge]).min().detach()
        n = smallest + (prune - prune.detach()) + (merge - merge.detach())
        total = total + 8 * n * width**2
    return total


def rate_of_epoch(epoch: int, *, epochs: int, first: float, last: float) -> float:
    """The official cosine, which starts falling only after the second epoch."""
    return last + (first - last) * (1 + cos(pi * max(epoch - 1, 0) / epochs)) / 2


@dataclass(frozen=True)
class RateSettings:
    """How rates are learnt.

    target_gmacs: multiply-adds of a frame, in giga, by DiffRate's formula (3.06 for ViT-B/32).
    granularity: tokens between candidates. weight: of the distance to the target in the loss.
    """

    target_gmacs: float
    granularity: int = 1
    epochs: int = 3
    learning_rate: float = 0.01
    last_learning_rate: float = 0.001
    weight: float = 5.0

    def __post_init__(self) -> None:
        for name in ("target_gmacs", "granularity", "epochs", "learning_rate", "weight"):
            if getattr(self, name) <= 0:
                raise BadSetting(f"{name} is {getattr(self, name)}; it must be above 0")


class LearntRates(NamedTuple):
    """Integers for `DiffRate(prune, merge)`, and what a frame costs with them by the formula."""

    prune: tuple[int, ...]
    merge: tuple[int, ...]
    gmacs: float


def learn_rates(
    vision: VisionTower,
    batches: Iterable[tuple[Tensor, Any]],
    loss: Callable[[Tensor, Any], Tensor],
    settings: RateSettings,
) -> LearntRates:
    """Rates for a dense image tower, whose weights stay as they are.

    batches: (V, F, 3, H, W) frames and whatever `loss` needs beside them; read once an epoch.
    loss: class tokens in the space of texts (V, F, embed), and that other thing -> a scalar.
    """
    learner = _Learner(vision, settings)
    parameters = list(learner.rates.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    for epoch in range(settings.epochs):
        optimizer.param_groups[0]["lr"] = rate_of_epoch(
            epoch,
            epochs=settings.epochs,
            first=settings.learning_rate,
            last=settings.last_learning_rate,
        )
        for frames, beside in batches:
            projected, gmacs = learner(frames)
            distance = (gmacs - settings.target_gmacs) ** 2
            total = loss(projected, beside) + settings.weight * distance
            grads = torch.autograd.grad(total, parameters, allow_unused=True)
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = grad
            optimizer.step()
    return learner.frozen()


class _Learner:
    """A tower, and rates for it."""

    def __init__(self, vision: VisionTower, settings: RateSettings) -> None:
        if not all(isinstance(layer, Block) for layer in vision.layers):
            raise BadSetting(
                "rates are learnt on plain blocks of CLIP: full or lora, without compression"
            )
        self.vision = vision
        tokens = vision.position_embedding.shape[0]
        self.rates = all_rates(tokens - 1, len(vision.layers), settings.granularity)
        self.rates.to(vision.position_embedding.device)
        self.sizes = {
            "tokens": tokens,
            "width": vision.projection.shape[0],
            "patch": vision.patch_embedding.weight.shape[-1],
            "outputs": vision.projection.shape[1],
        }

    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(V, F, 3, H, W) -> class tokens in the space of texts (V, F, embed), gmacs."""
        with torch.no_grad():
            start = self.vision.embed(frames)
        tokens = SoftTokens.of(start.x_CND)
        for block, rates in zip(self.vision.layers, self.rates, strict=True):
            tokens = soft_block(block, tokens, rates)  # type: ignore[arg-type]
        end = replace(start, x_CND=tokens.x_CND[:, :1])
        return self.vision.project(end), multiply_adds(tokens.kept, **self.sizes) / 1e9

    @torch.no_grad()
    def frozen(self) -> LearntRates:
        """The rates as integers."""
        kept = [(rates.prune.kept(), rates.merge.kept()) for rates in self.rates]  # type: ignore[operator, union-attr]
        prune, merge = (tuple(int(n) for n in step) for step in zip(*kept, strict=True))
        return LearntRates(prune, merge, float(multiply_adds(kept, **self.sizes)) / 1e9)
