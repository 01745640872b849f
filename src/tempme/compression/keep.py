"""No compression: every token of every frame goes through every block.

What all others are measured against: 12 x 50 tokens and 53.0 GFLOPs of ViT-B/32 (12 x 197 and 211.3
of ViT-B/16) in the paper's Table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from tempme.backbones.layers import Layer
from tempme.compression.method import Compression
from tempme.schedule import Step, schedule


@dataclass(frozen=True)
class Keep(Compression):
    """Nothing merges."""

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block."""
        return schedule(tokens=tokens, frames=frames, depth=depth, protected=protected)

    def scaled(self, strength: float, *, counts: float | None = None) -> Keep:  # noqa: ARG002
        """Nothing merges, however strongly."""
        return self

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """The layer itself."""
        return layer
