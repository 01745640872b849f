"""DiDeMo (Hendricks et al., ICCV 2017), paragraphs: one text per video, of its first 30 seconds.

Files: `{train,val,test}_data.json` (one description of a moment per entry) and, where a community
list is at hand, `{train,val,test}_list.txt` (one file name per line): retrieval is reported on its
8,395 / 1,065 / 1,004 videos; without it every described video counts (val 1,094, test 1,037).
Moments are given in chunks of 5 s and are not used: the descriptions are joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import paragraph, read_json, read_lines, unknown_split

SPLITS = ("train", "val", "test")
LENGTH_SECONDS = 30.0


@dataclass(frozen=True)
class DidemoMoment:
    """A description of one moment of a video."""

    video: str
    description: str


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """File names of a split, with their suffix."""
    return tuple(map(str, read(annotations, split).videos))


def read(annotations: Path, split: str) -> Split:
    """One pair per video that is described, and listed where there is a list."""
    if split not in SPLITS:
        raise unknown_split("didemo", split, SPLITS)
    descriptions: dict[str, list[str]] = {}
    for entry in read_json(annotations / f"{split}_data.json", list[DidemoMoment]):
        descriptions.setdefault(entry.video, []).append(entry.description)
    listing = annotations / f"{split}_list.txt"
    wanted = read_lines(listing) if listing.exists() else tuple(descriptions)
    pairs = (
        Pair(video, paragraph(descriptions[video]), 0.0, LENGTH_SECONDS)
        for video in wanted
        if video in descriptions
    )
    return Split(f"didemo/{split}", tuple(pairs))
