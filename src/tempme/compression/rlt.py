"""RLT: a patch that does not change is computed once, for all frames in which it lasts.

Run-length tokenization (Choudhury et al., NeurIPS 2024, arXiv 2411.05222; code: rccchoudhury/rlt
69ec8b4) drops a patch whose pixels differ from those of the frame before by no more than a
threshold: a run of equal patches is one token, in its first frame. Its models attend over all
frames at once, and its number of tokens is another one for every video. Here, choices of ours,
frames keep apart: a frame reads the key and value of a run that began before it, and asks only with
tokens of its own, so that no patch is lost; and the number of tokens is fixed, the `keep` that
changed most, so that the threshold is whatever leaves as many. Once the frames have joined, a run
is a token of the size of its length, which proportional attention counts. A patch is compared with
the frame before, not with the one that was kept, as in the original: slow drift goes unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tempme.compression.packing import Packing


class Changed(nn.Module):
    """The mean absolute difference of a patch's pixels from those of the frame before."""

    @torch.no_grad()
    def forward(self, frames: Tensor, patches: Tensor) -> Tensor:
        """(V, F, 3, H, W) and (V, F, P, D) -> (V, F, P) fp32; zero in the first frame."""
        grid = round(patches.shape[2] ** 0.5)
        x = frames.float()
        change = (x[:, 1:] - x[:, :-1]).abs().mean(dim=2)
        cells = change.unflatten(3, (grid, -1)).unflatten(2, (grid, -1))
        by_patch = cells.mean(dim=(3, 5)).flatten(2)
        return torch.cat([by_patch.new_zeros(len(x), 1, grid * grid), by_patch], dim=1)


@dataclass(frozen=True)
class RLT(Packing):
    """Runs of patches that do not change, as one token each, to a fixed number."""

    called: ClassVar[str] = "rlt"
    share: ClassVar[bool] = True

    def witness(self) -> nn.Module:
        """Differences of pixels."""
        return Changed()
