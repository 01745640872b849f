"""Features of all processes, with a gradient that is right.

Every process computes the whole loss from the features of all. The gather's backward sums what the
processes send back, which is `world` times the gradient of the one loss; the mean over processes
that distributed training takes of the parameters' gradients makes it one again.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def gather(features: Tensor) -> Tensor:
    """(N, D) of this process -> (world * N, D) of all, in the order of their ranks."""
    if not is_distributed():
        return features
    from torch.distributed.nn.functional import all_gather

    parts = all_gather(features)
    for part in parts:
        if part.requires_grad:  # its backward sends memory as it lies, whatever the strides say
            part.register_hook(Tensor.contiguous)
    return torch.cat(parts)


@torch.no_grad()
def gather_ids(ids: Tensor) -> Tensor:
    """(N,) of this process -> (world * N,); no gradient."""
    if not is_distributed():
        return ids
    found = [torch.empty_like(ids) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, ids)
    return torch.cat(found)


def is_distributed() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized()
