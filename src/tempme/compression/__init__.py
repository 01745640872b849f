"""Which tokens survive: one file per method, all of the same shape."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar, Protocol

from tempme.backbones.layers import Layer
from tempme.compression.diffrate import DiffRate
from tempme.compression.evit import EViT
from tempme.compression.keep import Keep
from tempme.compression.sta import STA
from tempme.compression.tempme import TempMe
from tempme.compression.testa import TESTA
from tempme.compression.tome import ToMe
from tempme.schedule import Step


class Compression(Protocol):
    """Settings that shorten the token sequence of a video."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # `replace` changes them

    @property
    def drops_patches(self) -> bool:
        """Whether patches are lost, rather than merged or fused."""

    def plan(self, *, tokens: int, frames: int, depth: int) -> tuple[Step, ...]:
        """What every block does to the token count, before any tensor exists."""

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """The layer with its reduction around it."""


COMPRESSIONS: dict[str, type] = {
    "keep": Keep,
    "tome": ToMe,
    "evit": EViT,
    "diffrate": DiffRate,
    "sta": STA,
    "testa": TESTA,
    "tempme": TempMe,
}

__all__ = [
    "COMPRESSIONS",
    "STA",
    "TESTA",
    "Compression",
    "DiffRate",
    "EViT",
    "Keep",
    "TempMe",
    "ToMe",
]
