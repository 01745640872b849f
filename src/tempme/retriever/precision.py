"""Which numbers to compute in, on which machine.

fp32; bf16, everything but matching; bf16-mixed, products alone, over weights in fp32.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import nn

from tempme.backbones.layers import fold
from tempme.backbones.packed import can_pack, pack, packable
from tempme.engines.choice import ENGINES, TORCH
from tempme.errors import UnknownName

Backbone = TypeVar("Backbone", bound=nn.Module)
PRECISIONS = ("auto", *ENGINES[TORCH])


def resolve(precision: str, device: torch.device) -> str:
    """The precision itself, or for "auto" the faster of fp32 and bf16 on the device."""
    if precision not in PRECISIONS:
        raise UnknownName.among("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(device.type) else "fp32"


@cache
def has_bf16(device_type: str) -> bool:
    """Whether matrix products in bfloat16 have instructions of their own."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    cpu = torch.backends.cpu.get_cpu_capability()
    from torch import cpu as features

    return bool(features._is_amx_tile_supported() or features._is_avx512_bf16_supported()) and (
        "AVX512" in cpu or "AMX" in cpu
    )


def dtype(precision: str) -> torch.dtype:
    """The type of the weights."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def freeze(backbone: nn.Module, precision: str, device: torch.device) -> None:
    """Fold, pack and round the backbone in place: the same function for inference alone."""
    fold(backbone).requires_grad_(False).eval()
    if can_pack(device) and precision != "bf16-mixed":
        pack(backbone, dtype(precision))
    backbone.to(dtype(precision))


def frozen(
    backbone: Backbone, precision: str, device: torch.device, *, without: nn.Module | None = None
) -> Backbone:
    """A copy of the backbone on the device, for inference alone.

    without: a part of it in whose place the copy has nothing, as it is not to be used.

    Weights that are packed are read where they lie, not copied first: in fp32 that copy would be
    the most memory that indexing takes.
    """
    copies: dict[int, Any] = {} if without is None else {id(without): nn.Module()}
    if can_pack(device) and precision != "bf16-mixed":
        weights = [linear.weight for linear in packable(backbone)]
        copies |= {id(w): nn.Parameter(w.detach(), requires_grad=False) for w in weights}
    made = copy.deepcopy(backbone, copies).to(device)
    freeze(made, precision, device)
    return made


def context(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Products in bf16 where precision is mixed."""
    if precision == "bf16-mixed":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
