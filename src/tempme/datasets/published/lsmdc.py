"""LSMDC (Rohrbach et al., IJCV 2017): clips of films with one sentence of their narration each.

Files, tab-separated without header or quoting, six fields (clip id, aligned start and end,
extracted start and end, sentence): `LSMDC16_annos_training.csv`, `LSMDC16_annos_val.csv` and
`LSMDC16_challenge_1000_publictect.csv` (sic). Training clips may occur several times.
"""

from __future__ import annotations

from pathlib import Path

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import read_lines, unknown_split
from tempme.errors import BadDataset

FILES = {
    "train": "LSMDC16_annos_training.csv",
    "val": "LSMDC16_annos_val.csv",
    "test": "LSMDC16_challenge_1000_publictect.csv",
}
# Its file does not decode in the release; every published recipe leaves it out.
BROKEN = "1012_Unbreakable_00.05.16.065-00.05.21.941"


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Clip ids of "train", "val" or "test"."""
    return tuple(map(str, read(annotations, split).videos))


def read(annotations: Path, split: str) -> Split:
    """The pairs of "train", "val" or "test" (the 1,000 of the challenge)."""
    if split not in FILES:
        raise unknown_split("lsmdc", split, FILES)
    path = annotations / FILES[split]
    pairs = (_pair(path, line) for line in read_lines(path))
    return Split(f"lsmdc/{split}", tuple(pair for pair in pairs if pair.video != BROKEN))


def _pair(path: Path, line: str) -> Pair:
    fields = line.split("\t")
    if len(fields) != 6:
        raise BadDataset(
            f"{path.name}: {len(fields)} fields, not six between tabs, in {line[:80]!r}"
        )
    return Pair(fields[0], fields[5])
