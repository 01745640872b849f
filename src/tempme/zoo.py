"""What we compare: a backbone, a tuning, a compression and a pooling; and the paper's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from tempme.clip.config import BACKBONES, ClipConfig
from tempme.compression import Compression, Keep, TempMe, ToMe
from tempme.cost import Cost, cost
from tempme.errors import BadSetting, UnknownName
from tempme.pooling import MeanPooling
from tempme.schedule import Step
from tempme.tuning import Full, LoRA, Tuning

if TYPE_CHECKING:
    from tempme.retriever import Retriever


@dataclass(frozen=True)
class System:
    """One row of the comparison; `dataclasses.replace` makes another."""

    name: str
    tuning: Tuning
    compression: Compression
    pooling: MeanPooling = field(default_factory=MeanPooling)
    backbone: str | ClipConfig = "ViT-B/32"
    frames: int = 12
    max_words: int = 32

    def __post_init__(self) -> None:
        self.plan()  # a plan that cannot be is refused before any weight is read

    @property
    def config(self) -> ClipConfig:
        """The sizes of the backbone."""
        if isinstance(self.backbone, ClipConfig):
            return self.backbone
        if self.backbone not in BACKBONES:
            raise UnknownName.among("backbone", self.backbone, BACKBONES)
        return BACKBONES[self.backbone]

    def plan(self) -> tuple[Step, ...]:
        """What every block does to the token count."""
        config = self.config
        return self.compression.plan(tokens=config.tokens, frames=self.frames, depth=config.layers)

    def cost(self) -> Cost:
        """Multiply-adds of one video."""
        return cost(self.plan(), self.config)

    def trainable_parameters(self) -> int:
        """Numbers that learn; counted without allocating any."""
        import torch

        from tempme.assembly import assemble
        from tempme.clip.model import Clip

        with torch.device("meta"):
            clip = assemble(self, Clip(self.config))
        return sum(p.numel() for p in clip.parameters() if p.requires_grad)

    def build(
        self, weights: str | Path | Mapping[str, Tensor] | None = None, **options: object
    ) -> Retriever:
        """Load, tune, compress, pool: always in this order.

        `weights`: a published tag ("openai"), a file, a folder, a state dict, or None for random
        ones. Options are those of `checkpoint.build`.
        """
        from tempme.checkpoint import build

        return build(self, weights, **options)  # type: ignore[arg-type]


PAPER: dict[str, System] = {
    "clip4clip": System("clip4clip", Full(), Keep()),
    "lora": System("lora", LoRA(), Keep()),
    "tome": System("tome", LoRA(), ToMe()),
    "tempme": System("tempme", LoRA(), TempMe()),
    "tempme-full": System("tempme-full", Full(), TempMe()),
    "tome-full": System("tome-full", Full(), ToMe()),
    # The paper's ablations (Tables 8 and 9).
    "imgme-only": System("imgme-only", LoRA(), ToMe()),
    "temporal-modelling": System(
        "temporal-modelling", LoRA(), TempMe(r=0, keep_cross=1, keep_intra=1)
    ),
}

# Settings that the paper changes where a frame has 197 tokens rather than 50.
_AT_PATCH_16: dict[type, dict[str, float]] = {
    ToMe: {"r": 10},
    TempMe: {"r": 10, "keep_cross": 0.6, "keep_intra": 0.8},
}
LONG_VIDEO_FRAMES = 64  # from here on the paper reads 64 words rather than 32


def systems() -> tuple[str, ...]:
    """The names of the table."""
    return tuple(PAPER)


def system(name: str, *, backbone: str | ClipConfig = "ViT-B/32", frames: int = 12) -> System:
    """A row of the table, with the paper's settings for the backbone and number of frames."""
    if name not in PAPER:
        raise UnknownName.among("system", name, PAPER)
    row = PAPER[name]
    compression = row.compression
    if backbone == "ViT-B/16" and name != "temporal-modelling":
        compression = replace(compression, **_AT_PATCH_16.get(type(compression), {}))
    words = 64 if frames >= LONG_VIDEO_FRAMES else row.max_words
    made = replace(row, backbone=backbone, compression=compression, frames=frames, max_words=words)
    if made.config.context < words:
        made = replace(made, max_words=made.config.context)
    return made


def check_frames(system: System, frames: int) -> None:
    """Raise BadSetting where a video brings another number of frames than the system sees."""
    if frames != system.frames:
        raise BadSetting(
            f"videos of {frames} frames, but {system.name} sees {system.frames}: sample "
            f"{system.frames} frames, or make the system with frames={frames}"
        )
