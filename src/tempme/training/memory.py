"""Memory of a training step: what is cheap to keep is kept, the rest computed twice.

And what one step gave back is there for the next, which needs as much again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tempme.backbones.backbone import Backbone
from tempme.backbones.umt.answerer import UmtAnswerer

# Of mallopt(3): no mapping of their own for large blocks; give nothing back from the heap's end.
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
_KEEP = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))


def in_pieces(encode: Callable[[Any], Tensor], batch: Any, piece: int) -> Tensor:
    """`encode` over pieces of a batch, each computed again on the way back (GradCache).

    The contrastive loss sees all features at once, so its negatives stay whole; only one piece's
    activations exist at any time. `batch` is a sequence, a tensor, or a tuple of tensors or None.
    piece 0 encodes the batch at once.
    """
    count = len(batch[0]) if isinstance(batch, tuple) else len(batch)
    if not 0 < piece < count:
        return encode(batch)
    return torch.cat(
        [
            checkpoint(encode, _cut(batch, first, first + piece), use_reentrant=False)
            for first in range(0, count, piece)
        ]
    )


def keep_freed_memory() -> bool:
    """Let this process keep what its tensors gave back; whether its C library can (glibc).

    Otherwise large tensors go back to the system at once, and it has to clear new pages for those
    of the next step: a fifth to a third of a step on a CPU (docs/training.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # other C libraries; Windows has no such handle
        return False
    return all(mallopt(*option) for option in _KEEP)


@contextmanager
def checkpointed_layers(backbone: Backbone | UmtAnswerer) -> Iterator[None]:
    """Meanwhile keep only what enters each block of both towers; blocks run again on the way back.

    Blocks get a `forward` of their own for that time alone: no parameter changes its name, and a
    copy made at another time knows nothing of it.
    """
    layers = [*backbone.vision.layers, *backbone.text.layers]
    for layer in layers:
        layer.forward = _checkpointed(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: Any) -> Any:
        return checkpoint(forward, *given, use_reentrant=False)

    return run


def _cut(batch: Any, first: int, last: int) -> Any:
    if isinstance(batch, tuple):
        return tuple(None if part is None else part[first:last] for part in batch)
    return batch[first:last]
