"""How near to the official UMT code outputs, losses and gradients have to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from golden_umt import Facts
from tempme.backbones.umt.names import to_official
from tempme.tokens import Tokens

TOKENS, LOSS = 5e-5, 2e-5  # fp32 is up to 1e-5 from fp64 on tokens as large as 5
GRADIENT = 1e-4  # of the largest number of a tensor
COSINE = 2e-6


def near(ours: Tensor, theirs: Tensor, *, within: float = TOKENS) -> None:
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=within, rtol=1e-6)


def near_number(ours: Tensor | float, theirs: float, *, within: float = LOSS) -> None:
    number = ours.item() if isinstance(ours, Tensor) else ours
    assert number == pytest.approx(theirs, abs=within, rel=within)


def near_facts(ours: Tensor, facts: Facts) -> None:
    """Mean, spread and length of a tensor, and a sum that every number enters."""
    flat = ours.detach().double().flatten()
    angles = 0.37 * torch.arange(len(flat), dtype=torch.float64)
    found = {
        "mean": flat.mean(),
        "std": flat.std(),
        "l2": flat.norm(),
        "probe": flat @ angles.sin(),
    }
    for name, value in found.items():
        loose = TOKENS * (len(flat) ** 0.5 if name in ("l2", "probe") else 1)
        assert float(value) == pytest.approx(facts[name], abs=loose), name
    near(flat[:8].float(), torch.tensor(facts["first8"]))


def layer_by_layer(vision: nn.Module, tokens: Tokens) -> Iterator[Tokens]:
    for layer in vision.layers:
        tokens = layer(tokens)
        yield tokens


def check_gradients(model: nn.Module, norms: dict[str, float], whole: dict[str, Tensor]) -> None:
    named = {
        name.replace(".layer.", "."): p.grad  # compressions wrap layers
        for name, p in model.named_parameters()
        if p.grad is not None and not name.endswith("clip_position")
    }
    ours = to_official(named)
    assert set(ours) == set(norms)
    total = sum(norm**2 for norm in norms.values()) ** 0.5
    for name, norm in norms.items():
        assert float(ours[name].norm()) == pytest.approx(norm, rel=5e-4, abs=1e-6 * total), name
    for name, value in whole.items():  # some are sums that all but cancel out
        near(ours[name], value, within=GRADIENT * float(value.abs().max()) + 1e-9 * total)
