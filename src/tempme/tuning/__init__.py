"""Which parameters learn: one file per method, all of the same shape."""

from __future__ import annotations

from tempme.tuning.full import Full
from tempme.tuning.lora import LoRA
from tempme.tuning.method import Tuning

TUNINGS: dict[str, type[Tuning]] = {
    "full": Full,
    "lora": LoRA,
}

__all__ = ["TUNINGS", "Full", "LoRA", "Tuning"]
