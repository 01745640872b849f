"""The one value that travels through the vision encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Shape letters: C clips in the batch, N tokens per clip, D width.


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch of clips, with everything later blocks need to know.

    `size_CN1` counts the patches that each token stands for. It stays None until the first
    merge, so that systems that never merge keep the fast attention kernel.
    """

    x_CND: Tensor
    size_CN1: Tensor | None
    clips_per_video: int
    num_protected: int = 1  # leading tokens no merge may touch: class tokens, prompts

    def __len__(self) -> int:
        return self.x_CND.shape[1]

    @property
    def num_free(self) -> int:
        """Tokens of a clip that may merge."""
        return len(self) - self.num_protected

    @property
    def sizes(self) -> Tensor:
        """(C, N, 1) fp32: patches per token; ones before the first merge."""
        if self.size_CN1 is not None:
            return self.size_CN1
        return torch.ones_like(self.x_CND[..., :1], dtype=torch.float32)

    def plus(self, residual_CND: Tensor) -> Tokens:
        """The same tokens after a residual branch."""
        return replace(self, x_CND=self.x_CND + residual_CND)

    def protected(self) -> Tokens:
        """Only the leading tokens: all that the feature of a video is made of."""
        n = self.num_protected
        size = None if self.size_CN1 is None else self.size_CN1[:, :n]
        return replace(self, x_CND=self.x_CND[:, :n], size_CN1=size)

    def rows(self, index: Tensor, *, clips_per_video: int) -> Tokens:
        """The clips at `index` (integer tensor, any order, repeats allowed), as new videos."""
        size = None if self.size_CN1 is None else self.size_CN1[index]
        return replace(
            self, x_CND=self.x_CND[index], size_CN1=size, clips_per_video=clips_per_video
        )
