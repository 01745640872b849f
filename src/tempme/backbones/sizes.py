"""Every backbone that has a name, of whatever family, and what their sizes have in common."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeAlias

from tempme.backbones.config import BACKBONES as CLIPS
from tempme.backbones.config import ClipConfig
from tempme.backbones.umt.config import UMT_BACKBONES, UmtConfig
from tempme.errors import UnknownName

Sizes: TypeAlias = ClipConfig | UmtConfig

BACKBONES: dict[str, Sizes] = {**CLIPS, **UMT_BACKBONES}
# Words, activation and scale of pixels are of the weights: what a name says nothing of.
OF_THE_WEIGHTS = ("vocab", "activation", "mean", "std", "trained_frames")


def sizes_of(backbone: str | Sizes) -> Sizes:
    """The sizes of a backbone that is named or given; UnknownName where no such name is."""
    if not isinstance(backbone, str):
        return backbone
    if backbone not in BACKBONES:
        raise UnknownName.among("backbone", backbone, BACKBONES)
    return BACKBONES[backbone]


def backbone_name(config: Sizes) -> str | None:
    """The backbone of these sizes, whatever its weights were trained with; None has no name."""
    for name, known in BACKBONES.items():
        if not other_sizes(known, config):
            return name
    return None


def other_sizes(one: Sizes, other: Sizes) -> dict[str, tuple[Any, Any]]:
    """The sizes in which two backbones differ; of two families, what they are called."""
    if type(one) is not type(other):
        return {"family": (family_of(one), family_of(other))}
    return {
        size.name: (getattr(one, size.name), getattr(other, size.name))
        for size in fields(one)
        if size.name not in OF_THE_WEIGHTS and getattr(one, size.name) != getattr(other, size.name)
    }


def family_of(config: Sizes) -> str:
    """What a person calls backbones of this kind."""
    return "UMT" if isinstance(config, UmtConfig) else "CLIP"
