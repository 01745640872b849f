"""One configuration of an official code as files, and how far from them fp32 may be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import load_file
from torch import Tensor

MATERIAL = Path(__file__).parent  # what tests share; processes of their own import from here
GOLDEN = MATERIAL.parent / "golden"
FEATURES = {
    "atol": 2e-6,
    "rtol": 2.4e-7,
}  # two roundings of the value: machines add up in any order
BLOCKS = {"atol": 1.5e-5, "rtol": 0}  # values up to 8; the reference is as far from its own fp64


@dataclass(frozen=True)
class GoldenFiles:
    """NAME.json and NAME.safetensors; nothing is read before it is asked for."""

    name: str

    folder: ClassVar[Path] = GOLDEN

    @cached_property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / f"{self.name}.json").read_text())
        return facts

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / f"{self.name}.safetensors")

    def frames_of(self, video: str) -> Tensor:
        """(V, F, 3, 224, 224): every stored pixel is four by four."""
        small = load_file(self.folder / "videos.safetensors")[video]
        return small.float().repeat_interleave(4, -1).repeat_interleave(4, -2)
