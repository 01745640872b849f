"""Features of all processes, with a gradient that is right.

Every process computes the whole loss from the features of all. The gather's backward sums what the
processes send back, which is `world` times the gradient of the one loss; the mean over processes
that distributed training takes of the parameters' gradients makes it one again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

# While one process validates, for hours maybe, the others wait longer than a step may take. If it
# dies its connection ends, and with it the wait.
PATIENCE = timedelta(days=30)

Answer = TypeVar("Answer")


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


def patient_group() -> distributed.ProcessGroup | None:
    """A group of all processes whose limit of time is `PATIENCE`; None in a run of one."""
    if not is_distributed():
        return None
    group: distributed.ProcessGroup = distributed.new_group(backend="gloo", timeout=PATIENCE)
    return group


def heard(answer: Answer, group: distributed.ProcessGroup | None) -> Answer:
    """The answer of the first process, in all of them; each waits as long as its group allows."""
    if group is None:
        return answer
    said = [answer]
    distributed.broadcast_object_list(said, src=0, group=group)
    return said[0]
