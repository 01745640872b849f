"""No compression: every token of every frame goes through every block.

What all others are measured against: 12 x 50 tokens and 53.0 GFLOPs of ViT-B/32 (12 x 197 and 211.3
of ViT-B/16) in the paper's Table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tempme.backbones.layers import Layer
from tempme.schedule import Step, schedule


@dataclass(frozen=True)
class Keep:
    """Nothing merges."""

    drops_patches: ClassVar[bool] = False

    def plan(self, *, tokens: int, frames: int, depth: int) -> tuple[Step, ...]:
        """A Step per block."""
        return schedule(tokens=tokens, frames=frames, depth=depth)

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """The layer itself."""
        return layer
