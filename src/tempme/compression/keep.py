"""No compression: every token of every frame goes through every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tempme.clip.layers import Layer
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
