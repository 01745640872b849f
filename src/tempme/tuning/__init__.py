"""Which parameters learn: one file per method, all of the same shape."""

from __future__ import annotations

from typing import Protocol

from tempme.clip.model import Clip
from tempme.tuning.full import Full
from tempme.tuning.lora import LoRA


class Tuning(Protocol):
    """Settings that make a CLIP trainable."""

    def tune(self, clip: Clip) -> Clip:
        """The model with its learning parts in place; exactly they require gradients."""


TUNINGS: dict[str, type] = {"full": Full, "lora": LoRA}
