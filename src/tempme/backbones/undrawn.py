"""Modules whose random numbers are not drawn: they are to be given others.

To draw those of a ViT-B/32 takes 1.3 s, and touches 600 MB of memory that a file will fill. What
starts as constants (norms, biases of zero) does so here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

# While one of these is handled nothing inside it is: those of `init` have to be named, too.
_IN_PLACE = frozenset(
    {
        Tensor.normal_,
        Tensor.uniform_,
        init.kaiming_normal_,
        init.kaiming_uniform_,
        init.normal_,
        init.trunc_normal_,
        init.uniform_,
        init.xavier_normal_,
        init.xavier_uniform_,
    }
)


class Undrawn(TorchFunctionMode):
    """Within it tensors that would be random hold whatever their memory did."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """As without it, but for what draws."""
        if func in _IN_PLACE:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch.randn:
            return torch.empty(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
