"""Attention as plain products, and what is added to its scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Shape letters: C clips in the batch, N tokens per clip, H heads, D width.

FEW_KEYS = 1024  # whose scores are small enough to be kept


def size_bias(size_CN1: Tensor, dtype: torch.dtype) -> Tensor:
    """(C, N, 1) -> (C, 1, 1, N): what lets a token answer as often as the patches it holds."""
    return size_CN1.log().mT[:, None].to(dtype)


def hiding(hidden_CN: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """(C, N) -> (C, 1, 1, N): minus infinity for hidden tokens, on top of another bias."""
    none = torch.zeros(hidden_CN.shape, dtype=dtype, device=hidden_CN.device)
    own = none.masked_fill(hidden_CN, float("-inf"))[:, None, None]
    return own if bias is None else bias + own


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None,
    *,
    causal: bool,
    dropout: float = 0.0,
) -> Tensor:
    """(C, H, N, D / H) queries, as many or more keys and values -> (C, H, N, D / H).

    `causal`: keys that are more than the queries stand after the first word, which alone does not
    see them. `dropout`: the share of weights that are left out, the others growing for them.

    Spelled out where that is better than the fused kernel: for gradients on a CPU it takes half
    the time (96 frames, bf16), and over words in fp32 it is nearer to the reference (logits
    8e-6 rather than 1.1e-5 apart). Of many keys, as where all frames see each other, the fused
    kernel does both ways: scores would take 265 MB for a block and video of UMT-B/16.
    """
    on_cpu = q.requires_grad and q.device.type == "cpu" and k.shape[-2] <= FEW_KEYS
    if on_cpu and not (causal or dropout) and _recomputes(q, k, v, bias):
        made: Tensor = _Recomputed.apply(q, k, v, bias)  # type: ignore[no-untyped-call]
        return made
    if not causal and not on_cpu:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if causal:
        scores = scores + _later(scores)
    if bias is not None:
        scores = scores + bias
    weights = scores.softmax(dim=-1).to(v.dtype)
    return (F.dropout(weights, dropout) if dropout else weights) @ v


def _recomputes(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> bool:
    """Whether nothing is broadcast but the bias, which learns nothing; in fp32 it costs no time."""
    is_alike = (
        q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
        and q.dtype == k.dtype == v.dtype == torch.float32
    )
    is_fixed = bias is None or (not bias.requires_grad and bias.dtype == q.dtype)
    return torch.is_grad_enabled() and is_alike and is_fixed and not torch.compiler.is_compiling()


class _Recomputed(torch.autograd.Function):
    """The fused kernel on the way forward, plain products on the way back.

    Kept are queries, keys and values as they lie, where plain products would keep copies of them
    and the weights.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(q, k, v, bias)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *given, bias = ctx.saved_tensors
        # Laid out once: every product would copy them anew.
        q, k, v, grad = (one.contiguous() for one in (*given, grad))
        with torch.autocast("cpu", enabled=False):
            scaled = q * q.shape[-1] ** -0.5
            scores = scaled @ k.mT
            scores = scores if bias is None else scores.add_(bias)
            weights = scores.softmax(dim=-1)
            of_scores = torch._softmax_backward_data(grad @ v.mT, weights, -1, q.dtype)
            of_q = (of_scores @ k).mul_(q.shape[-1] ** -0.5)
            return of_q, of_scores.mT @ scaled, weights.mT @ grad, None


def _later(scores: Tensor) -> Tensor:
    """(words, keys) of minus infinity where a word must not look, else 0."""
    words, keys = scores.shape[-2:]
    more = keys - words
    hidden = torch.full((words, keys), float("-inf"), device=scores.device, dtype=scores.dtype)
    hidden = hidden.triu(1 + more)
    if more:
        hidden[0, :more] = float("-inf")
    return hidden
