"""ToMe (Bolya et al., ICLR 2023): merge r tokens of every frame in every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tempme.clip.layers import Layer
from tempme.compression.layers import ImgMe
from tempme.errors import BadSetting
from tempme.schedule import Step, schedule


@dataclass(frozen=True)
class ToMe:
    """`r` tokens a block; `proportional` attention counts a token as often as its patches."""

    r: int = 2
    proportional: bool = True

    drops_patches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.r < 0:
            raise BadSetting(f"tome.r is {self.r}; tokens merged per block, so 0 or more")

    def plan(self, *, tokens: int, frames: int, depth: int) -> tuple[Step, ...]:
        """A Step per block."""
        return schedule(tokens=tokens, frames=frames, depth=depth, r=self.r)

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:  # noqa: ARG002
        """Merge after the attention of `layer`."""
        return ImgMe(layer, step, proportional=self.proportional)
