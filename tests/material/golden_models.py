"""Configurations of the official implementation, and what it computed: tests/golden."""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor

import tempme
from golden_files import GOLDEN, GoldenFiles
from tempme.compression import Compression, Keep, TempMe, ToMe
from tempme.retriever.retriever import Retriever

JOINS = {8: 2, 9: 2, 10: 3}
COMPRESSIONS: dict[str, Compression] = {
    "A": TempMe(joins=JOINS),
    "A1": TempMe(joins=JOINS),
    "B": TempMe(joins=JOINS, r=10, keep_cross=0.6, keep_intra=0.8),
    "E_dense": Keep(),
    "E_tome": ToMe(),
    "E_nomerge": TempMe(joins=JOINS, r=0, keep_cross=1, keep_intra=1),
}


class Golden(GoldenFiles):
    """One configuration of the official TempMe."""

    @property
    def state(self) -> dict[str, Tensor]:
        """Weights under the official release's names."""
        base, learnt = (load_file(GOLDEN / f"{self.facts[key]}.safetensors") for key in _FILES)
        return {f"clip.{name}": value for name, value in base.items()} | learnt

    @property
    def num_videos(self) -> int:
        return int(self.facts["num_videos"])

    @property
    def frames(self) -> Tensor:
        """(V, 12, 3, 224, 224)."""
        return self.frames_of(self.facts["video"])[: self.num_videos]

    @property
    def ids(self) -> Tensor:
        return load_file(GOLDEN / "texts.safetensors")["text_ids"][: self.num_videos]

    def build(self) -> Retriever:
        return tempme.from_official(self.state, compression=COMPRESSIONS[self.name])

    def gradients(self) -> dict[str, Tensor]:
        """Under the names that our parameters have."""
        return {
            name.removeprefix("grad."): value
            for name, value in self.tensors.items()
            if name.startswith("grad.")
        }


_FILES = ("base", "tvpt")
