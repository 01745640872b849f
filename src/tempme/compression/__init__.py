"""Which tokens survive: one file per method, all of the same shape."""

from __future__ import annotations

from tempme.compression.diffrate import DiffRate
from tempme.compression.evit import EViT
from tempme.compression.keep import Keep
from tempme.compression.method import Compression
from tempme.compression.sta import STA
from tempme.compression.tempme import TempMe
from tempme.compression.testa import TESTA
from tempme.compression.tome import ToMe

COMPRESSIONS: dict[str, type[Compression]] = {
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
