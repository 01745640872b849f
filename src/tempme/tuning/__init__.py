"""Which parameters learn: one file per method, all of the same shape."""

from __future__ import annotations

from tempme.tuning.adapter import Adapter
from tempme.tuning.dgl import DGL, DGLTransformer
from tempme.tuning.full import Full
from tempme.tuning.lora import LoRA
from tempme.tuning.method import DeepTuning, Tuning
from tempme.tuning.mv_adapter import MVAdapter
from tempme.tuning.plevu import PLEVU
from tempme.tuning.prompt import Prompt
from tempme.tuning.rap import RAP
from tempme.tuning.vop import VoP

TUNINGS: dict[str, type[Tuning]] = {
    "full": Full,
    "lora": LoRA,
    "prompt": Prompt,
    "adapter": Adapter,
    "plevu": PLEVU,
    "vop": VoP,
    "dgl": DGL,
    "dgl-transformer": DGLTransformer,
    "mv-adapter": MVAdapter,
    "rap": RAP,
}

__all__ = [
    "DGL",
    "PLEVU",
    "RAP",
    "TUNINGS",
    "Adapter",
    "DGLTransformer",
    "DeepTuning",
    "Full",
    "LoRA",
    "MVAdapter",
    "Prompt",
    "Tuning",
    "VoP",
]
