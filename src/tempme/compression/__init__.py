"""Which tokens survive: one file per method, all of the same shape."""

from __future__ import annotations

from tempme.compression.aligned import Aligned
from tempme.compression.average import Average
from tempme.compression.diffrate import DiffRate
from tempme.compression.dtem import DTEM
from tempme.compression.earlytom import EarlyTom
from tempme.compression.evit import EViT
from tempme.compression.evs import EVS
from tempme.compression.keep import Keep
from tempme.compression.method import Compression
from tempme.compression.pitome import PiToMe
from tempme.compression.rlt import RLT
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
    "aligned": Aligned,
    "average": Average,
    "evs": EVS,
    "rlt": RLT,
    "earlytom": EarlyTom,
    "dtem": DTEM,
    "pitome": PiToMe,
}

__all__ = [
    "COMPRESSIONS",
    "DTEM",
    "EVS",
    "RLT",
    "STA",
    "TESTA",
    "Aligned",
    "Average",
    "Compression",
    "DiffRate",
    "EViT",
    "EarlyTom",
    "Keep",
    "PiToMe",
    "TempMe",
    "ToMe",
]
