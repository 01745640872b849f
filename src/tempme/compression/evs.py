"""EVS: a fixed number of patches, placed where neighbouring frames differ.

NVIDIA, arXiv 2510.14624 (the rule as in vLLM's multimodal/evs). The cosine between the patches at
equal places of neighbouring frames says how much changed; of all patches of the video the
`keep` that changed most stay, those of the first frame always. The budget is fixed, its placement
follows the content. EVS prunes what a language model reads of an encoder. Here, a choice of ours,
it prunes before block 0, by embedded patches without their positions, and a frame sees what is left
of it: a frame that stands still keeps its class token alone. Where clips join, each clip of the
first join has a budget of its own, so that its tokens are as many in every video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.compression.packing import Packing


class Turned(nn.Module):
    """One minus the cosine of a patch's embedding to that of the frame before."""

    @torch.no_grad()
    def forward(self, frames: Tensor, patches: Tensor) -> Tensor:  # noqa: ARG002
        """(V, F, 3, H, W) and (V, F, P, D) -> (V, F, P) fp32; zero in the first frame."""
        unit = normalize(patches.float(), dim=-1)
        turned = 1 - (unit[:, 1:] * unit[:, :-1]).sum(dim=-1)
        return torch.cat([torch.zeros_like(unit[:, :1, :, 0]), turned], dim=1)


@dataclass(frozen=True)
class EVS(Packing):
    """Dropping patches that did not change, to a fixed number."""

    called: ClassVar[str] = "evs"
    share: ClassVar[bool] = False

    def witness(self) -> nn.Module:
        """Cosines of embedded patches."""
        return Turned()
