"""What a row of the table is, as plain values: what it is made of, costs, and where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tempme.compression import COMPRESSIONS
from tempme.pooling import POOLINGS
from tempme.schedule import total_tokens
from tempme.systems.provenance import SOURCES
from tempme.systems.system import System
from tempme.tuning import TUNINGS


def facts(row: System) -> dict[str, Any]:
    """A row of the table in plain values: what it is made of, costs, and where it is from."""
    cost, source = row.cost(), SOURCES.get(row.name)
    return {
        "system": row.name,
        "tuning": name_of(row.tuning, TUNINGS),
        "compression": name_of(row.compression, COMPRESSIONS),
        "pooling": name_of(row.pooling, POOLINGS),
        "backbone": row.backbone if isinstance(row.backbone, str) else "custom",
        "frames": row.frames,
        "max_words": row.max_words,
        "tokens_out": total_tokens(row.plan()),
        "gmacs": round(cost.gmacs, 3),
        "gflops_paper": round(cost.gflops_paper, 3),
        "gmacs_prompts": round(cost.gmacs_prompts, 3),
        "makes_prompts": row.tuning.makes_prompts,
        "drops_patches": row.compression.drops_patches,
        "trainable_parameters": row.trainable_parameters(),
        "standing": "ours" if source is None else source.standing,
        "source": "" if source is None else source.code,
        "differs": "" if source is None else source.differs,
    }


def name_of(value: object, kinds: Mapping[str, type]) -> str:
    """The name of a method in its table."""
    return next(name for name, kind in kinds.items() if type(value) is kind)
