"""MSR-VTT (Xu et al., CVPR 2016): 9k or 7k training videos with 20 captions, and the 1k-A test.

Files: `MSRVTT_train.9k.csv`, `MSRVTT_train.7k.csv` (video ids), `MSRVTT_JSFUSION_test.csv`
(1,000 videos with one caption), `MSRVTT_data.json` (all captions; the official split too).
Videos: `<video_id>.mp4`. Five of the 1,000 test captions are duplicates: exact ties are real.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import read_json, read_lines, read_rows, unknown_split
from tempme.errors import BadDataset

CAPTIONS = "MSRVTT_data.json"
TEST = "MSRVTT_JSFUSION_test.csv"
OFFICIAL = {"train": "train", "val": "validate", "test": "test"}


@dataclass(frozen=True)
class Sentence:
    """One caption, in the file of all of them."""

    video_id: str
    caption: str


@dataclass(frozen=True)
class Listed:
    """A video of the official split."""

    video_id: str
    split: str


@dataclass(frozen=True)
class MsrvttFile:
    """`MSRVTT_data.json`."""

    videos: list[Listed]
    sentences: list[Sentence]


@dataclass(frozen=True)
class MsrvttRow:
    """A video of 1k-A with its caption."""

    video_id: str
    sentence: str


def videos(annotations: Path, split: str, *, train: str = "9k") -> tuple[str, ...]:
    """Video ids of "train" (`train` says which: "9k", "7k") or "test" (1k-A)."""
    if split == "train":
        return _ids(annotations / f"MSRVTT_train.{train}.csv")
    if split == "test":
        return tuple(str(pair.video) for pair in _test_pairs(annotations))
    raise unknown_split("msrvtt", split, ("train", "test"))


def read(annotations: Path, split: str, *, train: str = "9k") -> Split:
    """The pairs of "train" (every caption of every video) or "test" (1k-A)."""
    if split == "test":
        return Split("msrvtt/test-1k-A", _test_pairs(annotations))
    wanted = videos(annotations, split, train=train)
    published = read_json(annotations / CAPTIONS, MsrvttFile)
    return Split(f"msrvtt/{split}-{train}", _captions(published, wanted))


def official_videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Video ids of the split that the data set was published with (6,513 / 497 / 2,990)."""
    return _official(annotations, split)[0]


def read_official(annotations: Path, split: str) -> Split:
    """All captions of the published split."""
    wanted, published = _official(annotations, split)
    return Split(f"msrvtt-full/{split}", _captions(published, wanted))


def _official(annotations: Path, split: str) -> tuple[tuple[str, ...], MsrvttFile]:
    """Video ids of a published split, and the file that lists them with all captions."""
    if split not in OFFICIAL:
        raise unknown_split("msrvtt-full", split, OFFICIAL)
    published = read_json(annotations / CAPTIONS, MsrvttFile)
    ids = (video.video_id for video in published.videos if video.split == OFFICIAL[split])
    return tuple(ids), published


def _ids(path: Path) -> tuple[str, ...]:
    header, *ids = read_lines(path) or ("nothing",)
    if header != "video_id":
        raise BadDataset(f"{path} starts with {header!r}; its one column is named video_id")
    return tuple(ids)


def _test_pairs(annotations: Path) -> tuple[Pair, ...]:
    return tuple(
        Pair(row.video_id, row.sentence) for row in read_rows(annotations / TEST, MsrvttRow)
    )


def _captions(published: MsrvttFile, wanted: tuple[str, ...]) -> tuple[Pair, ...]:
    """Every caption of the wanted videos, video by video in the order wanted."""
    captions: dict[str, list[str]] = {video: [] for video in wanted}
    for sentence in published.sentences:
        captions.get(sentence.video_id, []).append(sentence.caption)
    return tuple(Pair(video, caption) for video in wanted for caption in captions[video])
