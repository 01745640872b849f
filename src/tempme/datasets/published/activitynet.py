"""ActivityNet Captions (Krishna et al., ICCV 2017), paragraphs: one text per video.

Files: `train.json`, `val_1.json` (tested on), `val_2.json`: id -> duration, timestamps, sentences.
A video's sentences are joined with one space, in training and test alike. The ids of the files
start with `v_`; the videos are named without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import paragraph, read_json, unknown_split

FILES = {"train": "train.json", "test": "val_1.json", "val2": "val_2.json"}


@dataclass(frozen=True)
class ActivityNetVideo:
    """A video's sentences; its times are not used."""

    sentences: list[str]


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Video ids of "train", "test" (val_1) or "val2"."""
    return tuple(map(str, read(annotations, split).videos))


def read(annotations: Path, split: str) -> Split:
    """One pair per video of "train", "test" (val_1) or "val2"."""
    if split not in FILES:
        raise unknown_split("activitynet", split, FILES)
    entries = read_json(annotations / FILES[split], dict[str, ActivityNetVideo])
    pairs = (
        Pair(name.removeprefix("v_"), paragraph(entry.sentences)) for name, entry in entries.items()
    )
    return Split(f"activitynet/{split}", tuple(pairs))
