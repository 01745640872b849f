"""What tests of anything that learns have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.retriever.retriever import Retriever
from tempme.training.losses import contrastive_loss


def moved(retriever: Retriever, *, by: float = 0.05) -> Retriever:
    """Off its start in everything that learns, so that it has an effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in retriever.parameters():
            if parameter.requires_grad:
                parameter += by * torch.randn(parameter.shape, generator=generator)
    return retriever


def assert_exactly_what_learns_has_gradients(
    retriever: Retriever, words: Tensor, videos: Tensor
) -> None:
    """Of the loss of these features: every parameter that learns and is not known to be dead."""
    contrastive_loss(words, videos, retriever.backbone.logit_scale).backward()
    for where, parameter in retriever.named_parameters():
        if not parameter.requires_grad or where.endswith(retriever.system.tuning.dead):
            assert parameter.grad is None, where
        else:
            assert parameter.grad is not None, where
            assert parameter.grad.isfinite().all(), where
            assert parameter.grad.abs().sum() > 0, where
    learning = sum(p.numel() for p in retriever.parameters() if p.requires_grad)
    assert learning == retriever.system.trainable_parameters()
