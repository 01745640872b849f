"""VATEX (Wang et al., ICCV 2019), English: ten captions per video; HGR's split halves validation.

Files: `{train,val,test}_list.txt` (one id per line), and the captions either as
`ref_captions.json` (id -> captions) or as published, `vatex_*.json` (videoID, enCap). Without lists
the published files are the splits. Videos are named by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import read_json, read_lines, unknown_split
from tempme.errors import BadDataset

PUBLISHED = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_public_test_english_v1.1.json",
}
TOGETHER = "ref_captions.json"


@dataclass(frozen=True)
class VatexVideo:
    """A video and its English captions, named as in the file."""

    videoID: str
    enCap: list[str]


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Video ids of "train", "val" or "test"."""
    if split not in PUBLISHED:
        raise unknown_split("vatex", split, PUBLISHED)
    listing = annotations / f"{split}_list.txt"
    if listing.exists():
        return read_lines(listing)
    return tuple(_published(annotations / PUBLISHED[split]))


def read(annotations: Path, split: str) -> Split:
    """Every English caption of every video of "train", "val" or "test"."""
    wanted = videos(annotations, split)
    captions = _captions(annotations)
    without = [video for video in wanted if not captions.get(video)]
    if without:
        raise BadDataset(
            f"no captions of {len(without)} videos of {split}, such as {without[0]}, in"
            f" {TOGETHER} or {', '.join(PUBLISHED.values())} of {annotations}"
        )
    pairs = (Pair(video, caption) for video in wanted for caption in captions[video])
    return Split(f"vatex/{split}", tuple(pairs))


def _captions(annotations: Path) -> dict[str, list[str]]:
    together = annotations / TOGETHER
    if together.exists():
        return read_json(together, dict[str, list[str]])
    captions: dict[str, list[str]] = {}
    for name in PUBLISHED.values():
        if (annotations / name).exists():
            captions |= _published(annotations / name)
    return captions


def _published(path: Path) -> dict[str, list[str]]:
    return {entry.videoID: entry.enCap for entry in read_json(path, list[VatexVideo])}
