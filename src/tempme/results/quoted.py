"""Numbers that papers state, from results/paper.toml: never ours, and labelled wherever shown."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempme.errors import BadDataset

FILE = "paper.toml"


@dataclass(frozen=True)
class Quoted:
    """One row of a published table; None is what it does not state.

    r1, r5, r10, rsum, mean_rank: text to video; v2t_*: video to text. gflops: multiply-adds (G) as
    the paper counts them; parameters in millions. note: why the numbers are not like for like.
    """

    r1: float | None = None
    r5: float | None = None
    r10: float | None = None
    rsum: float | None = None
    mean_rank: float | None = None
    v2t_r1: float | None = None
    v2t_r5: float | None = None
    v2t_r10: float | None = None
    v2t_mean_rank: float | None = None
    gflops: float | None = None
    parameters: float | None = None
    tokens: int | None = None
    videos_per_second: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """The sum of the three recalls follows from them."""
        parts = (self.r1, self.r5, self.r10)
        if self.rsum is None and all(part is not None for part in parts):
            object.__setattr__(self, "rsum", round(sum(part or 0 for part in parts), 1))


Table = Mapping[str, Quoted]


def read_paper(root: Path) -> dict[tuple[str, str], Table]:
    """(data set, backbone) -> experiment name -> numbers; empty without results/paper.toml."""
    path = root / FILE
    if not path.is_file():
        return {}
    try:
        document: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(path.read_text("utf-8"))
        return {
            (data_set, backbone): {name: Quoted(**row) for name, row in rows.items()}
            for data_set, backbones in document.items()
            for backbone, rows in backbones.items()
        }
    except (ValueError, TypeError, AttributeError) as reason:
        raise BadDataset(f"{path}: {reason}") from reason


def quoted_for(
    paper: Mapping[tuple[str, str], Table], *, data_set: str, backbone: str, experiment: str
) -> tuple[str, Quoted | None]:
    """The paper's table to put beside an experiment, and its row.

    Data sets that the paper does not have stand beside MSR-VTT with ViT-B/32: for the shape only.
    """
    place = (data_set, backbone)
    if place not in paper:
        place = ("msrvtt", "ViT-B/32")
    plain = experiment.removesuffix("-b32").removesuffix("-b16")
    return ", ".join(place), paper.get(place, {}).get(plain)
