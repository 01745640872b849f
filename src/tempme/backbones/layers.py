"""A residual block of CLIP, split at its one seam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.backbones.attention import attention, hiding, size_bias
from tempme.backbones.learning import learns_on_cpu, product
from tempme.backbones.mlp import Mlp
from tempme.backbones.shown import attend_by_frame
from tempme.tokens import Shown, Tokens, spread

L = TypeVar("L", bound="Layer")

# Shape letters: C clips in the batch, N tokens per clip, H heads, D width, B M prompts (`Tokens`).


@dataclass(frozen=True)
class Cues:
    """What attention saw on the way: the evidence every compression decides on.

    Only of the tokens themselves: prompts beside them are in no cue.
    """

    q: Tensor  # (C, H, N, D / H)
    k: Tensor
    bias: Tensor | None  # (C, 1, 1, N), None before the first merge

    @property
    def keys(self) -> Tensor:
        """(C, N, D / H): the mean key of the heads; how alike tokens are."""
        return self.k.mean(dim=1)

    def class_attention(self, num_protected: int) -> Tensor:
        """(C, N) fp32: how much the protected tokens look at every token, mean over heads."""
        q, k = self.q[:, :, :num_protected].float(), self.k.float()
        with torch.autocast(q.device.type, enabled=False):  # which would round to bf16
            scores = q @ k.mT / k.shape[-1] ** 0.5
        if self.bias is not None:
            scores = scores + self.bias.float()
        return scores.softmax(dim=-1).mean(dim=(1, 2))


class Part(nn.Module):
    """A part of a backbone, or what was put around one in its place."""

    def inner(self) -> nn.Module:
        """What stood in this place at first: the module itself, if it is around nothing."""
        return self


def inner_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` as it was before anything was put around its parts.

    Names are those of the bare parts; what was put around them is left out. What took the place of
    a part without saying so (`Part.inner`) keeps names of its own.
    """
    if isinstance(module, Part) and module.inner() is not module:
        return inner_state(module.inner())
    state = {name: value for name, value in module.state_dict().items() if "." not in name}
    for place, child in module.named_children():
        state |= {f"{place}.{name}": value for name, value in inner_state(child).items()}
    return state


class Projecting(Part):
    """A module in the place of a linear map, of which a part may be asked for alone."""

    def rows(self, x: Tensor, part: slice) -> Tensor:
        """A part of what `forward` puts out; a linear map can leave out the rest."""
        out: Tensor = self(x)[..., part]
        return out


class Foldable(Projecting):
    """A module that has an equal, cheaper form for inference."""

    def fold(self) -> nn.Module:
        """The same function, without what only training needs."""
        raise NotImplementedError


def fold(module: nn.Module) -> nn.Module:
    """Replace every Foldable inside `module` by its cheaper form; returns the module."""
    for name, child in module.named_children():
        if isinstance(child, Foldable):
            module.add_module(name, child.fold())
        else:
            fold(child)
    return module


def through(linear: nn.Module, x: Tensor) -> Tensor:
    """What `linear` makes of `x`; where it is plain and learns on a CPU, in less time."""
    if type(linear) is nn.Linear and learns_on_cpu(x, (linear.weight, linear.bias)):
        return product(x, linear.weight, linear.bias)
    made: Tensor = linear(x)
    return made


def rows_of(linear: nn.Module, x: Tensor, part: slice) -> Tensor:
    """A part of what `linear` puts out; the rest is not computed, where it is known how."""
    if type(linear) is nn.Linear:  # what derives from it may compute something else
        weight, bias = linear.weight[part], None if linear.bias is None else linear.bias[part]
        if learns_on_cpu(x, (weight, bias)):
            return product(x, weight, bias)
        return F.linear(x, weight, bias)
    return linear.rows(x, part) if isinstance(linear, Projecting) else linear(x)[..., part]


class Attention(nn.Module):
    """Attention that lets a token count as many times as the patches it holds."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = 0.0  # of weights, in training
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x_CND: Tensor,
        size_CN1: Tensor | None = None,
        *,
        num_queries: int | None = None,
        causal: bool = False,
        prompts_BMD: Tensor | None = None,
        hidden_CN: Tensor | None = None,
        shown: Shown | None = None,
    ) -> tuple[Tensor, Cues]:
        """(C, N, D) -> (C, num_queries or N, D): only the first tokens ask, all answer.

        Prompts beside them answer, too; hidden tokens do not. Where frames look by themselves, a
        token counts in each as often as it shows it, whatever its size.
        """
        if shown is not None:
            return self._by_frame(x_CND, shown, num_queries, prompts_BMD)
        q, k, v = self.project(x_CND, num_queries)
        cues = Cues(q, k, None if size_CN1 is None else size_bias(size_CN1, q.dtype))
        bias = cues.bias if hidden_CN is None else hiding(hidden_CN, cues.bias, q.dtype)
        if prompts_BMD is not None:
            _, *more = self.project(prompts_BMD, 0)
            k, v = (torch.cat([spread(m, len(q)), t], 2) for m, t in zip(more, (k, v), strict=True))
            bias = None if bias is None else F.pad(bias, (prompts_BMD.shape[1], 0))
        dropout = self.dropout if self.training else 0.0
        return self.gather(attention(q, k, v, bias, causal=causal, dropout=dropout)), cues

    def _by_frame(
        self, x_CND: Tensor, shown: Shown, num_queries: int | None, prompts_BMD: Tensor | None
    ) -> tuple[Tensor, Cues]:
        """`forward` of clips whose frames look by themselves; the cues are of their tokens."""
        q, k, v = self.project(x_CND, num_queries)
        beside = None if prompts_BMD is None else self.project(prompts_BMD, 0)[1:]
        made = through(self.out, attend_by_frame(q, k, v, shown, beside=beside))
        return made, Cues(q, k, None)

    def project(
        self, x_CND: Tensor, num_queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(C, N, D) -> queries, keys and values, (C, H, N, D / H) each.

        num_queries: make queries of so many first tokens alone.
        """
        # Cut along the last axis: gradients are then put together in the order they lie in.
        if num_queries is None:
            parts = through(self.qkv, x_CND).chunk(3, dim=-1)
        else:
            width = x_CND.shape[-1]
            asking = rows_of(self.qkv, x_CND[:, :num_queries], slice(width))
            parts = asking, *rows_of(self.qkv, x_CND, slice(width, None)).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return q, k, v

    def gather(self, y_CHNd: Tensor) -> Tensor:
        """The heads' answers (C, H, N, D / H) -> (C, N, D)."""
        return through(self.out, y_CHNd.transpose(1, 2).flatten(2))


class Layer(Part):
    """A transformer layer in two halves; compression happens in between.

    Towers of images and of words hold layers alike; tunings wrap them, compressions (in the image
    tower) wrap what tunings made (`Around`). All take Tokens and return Tokens, and pass on by
    `dataclasses.replace` every field that they do not know.
    """

    sees_one_frame: bool = True  # False where tokens of several frames meet
    joins: int = 1  # neighbouring clips that become one before its attention
    joins_alike: bool = True  # False where a clip depends on more than the frames that it holds

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Tokens after attention, and what attention saw."""
        raise NotImplementedError

    def feed(self, tokens: Tokens) -> Tokens:
        """Tokens after the MLP."""
        raise NotImplementedError

    def finish(self, tokens: Tokens) -> Tokens:
        """What the feature is made of, of all that `forward` would return: for the last block.

        Where no token is protected, that is all of them, and the layer is run whole.
        """
        return self.finish_protected(tokens) if tokens.num_protected else self(tokens).protected()

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """The protected tokens that `forward` would return; most layers can leave out the rest."""
        return self(tokens).protected()

    def forward(self, tokens: Tokens) -> Tokens:
        """Both halves, one after the other."""
        tokens, _ = self.attend(tokens)
        return self.feed(tokens)

    def inner(self) -> Layer:
        """The layer of the backbone inside all that is around it; itself, if nothing is."""
        return self


class Around(Layer, Generic[L]):
    """A layer around another one, which it passes tokens on to.

    sees_one_frame: whether it keeps frames apart itself; what is inside may still not.
    """

    layer: L

    def __init__(self, layer: L, *, sees_one_frame: bool = True) -> None:
        super().__init__()
        self.layer = layer
        self.sees_one_frame = layer.sees_one_frame and sees_one_frame
        self.joins_alike = layer.joins_alike and self.sees_one_frame
        self.joins = layer.joins

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention of the layer inside."""
        return self.layer.attend(tokens)

    def feed(self, tokens: Tokens) -> Tokens:
        """The MLP of the layer inside."""
        return self.layer.feed(tokens)

    def inner(self) -> Layer:
        """The innermost layer."""
        return self.layer.inner()


class Block(Layer):
    """The residual block of CLIP."""

    def __init__(self, width: int, heads: int, activation: str) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp: nn.Sequential = Mlp(width, activation)

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Tokens after attention, and what attention saw."""
        y, cues = self._attend(tokens, None)
        return tokens.plus(y).with_prompts(None), cues

    def feed(self, tokens: Tokens) -> Tokens:
        """Tokens after the MLP."""
        return tokens.plus(self.mlp(self.ln_2(tokens.x_CND)))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """Keys and values of all tokens, everything else for the protected ones alone."""
        y, _ = self._attend(tokens, tokens.num_protected)
        return self.feed(tokens.protected().plus(y).with_prompts(None))

    def _attend(self, tokens: Tokens, num_queries: int | None) -> tuple[Tensor, Cues]:
        prompts = tokens.beside.prompts_BMD
        return self.attn(
            self.ln_1(tokens.x_CND),
            tokens.size_CN1,
            num_queries=num_queries,
            causal=tokens.causal,
            prompts_BMD=None if prompts is None else self.ln_1(prompts),
            shown=tokens.shown,
        )
