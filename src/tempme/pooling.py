"""The class tokens of a video -> one feature."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class MeanPooling:
    """The mean of the unit class tokens (CLIP4Clip's parameter-free type)."""

    def __call__(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, P, D) class tokens in the space of texts -> (V, D), not yet unit length.

        `mask` (V, P) is 1 for frames that count; a video without any gets the zero feature.
        """
        unit = normalize(projected, dim=-1)
        if mask is None:
            return unit.mean(dim=1)
        weight = mask.to(unit.dtype)[..., None]
        return (unit * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


POOLINGS: dict[str, type] = {"mean": MeanPooling}
