"""The published data sets by name: a literal table, so that it can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tempme.datasets.folder import load_folder
from tempme.datasets.pairs import Split
from tempme.datasets.published import (
    activitynet,
    didemo,
    lsmdc,
    msrvtt,
    msrvtt_qa,
    msvd,
    msvd_qa,
    vatex,
)
from tempme.datasets.published.msrvtt_qa import Question
from tempme.errors import BadSetting, UnknownName

FOLDER = "folder"  # the name of what is not a published data set


@dataclass(frozen=True)
class DataSet:
    """How one data set is read, and how long its videos and texts are taken in the literature.

    `videos(annotations, split)` needs no captions; `read(annotations, split)` gives the pairs, and
    is None for questions and answers: `ask(annotations, split)` gives those, and
    `answers(annotations)` what may be answered.
    """

    title: str
    splits: tuple[str, ...]
    videos: Callable[[Path, str], tuple[str, ...]]
    read: Callable[[Path, str], Split] | None
    frames: int = 12
    max_words: int = 32
    ask: Callable[[Path, str], tuple[Question, ...]] | None = None
    answers: Callable[[Path], tuple[str, ...]] | None = None


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "msrvtt": DataSet(
            title="MSR-VTT, 9k for training, 1k-A for test",
            splits=("train", "test"),
            videos=msrvtt.videos,
            read=msrvtt.read,
        ),
        "msrvtt-7k": DataSet(
            title="MSR-VTT, 7k for training, 1k-A for test",
            splits=("train", "test"),
            videos=partial(msrvtt.videos, train="7k"),
            read=partial(msrvtt.read, train="7k"),
        ),
        "msrvtt-full": DataSet(
            title="MSR-VTT as published, 20 captions per test video",
            splits=("train", "val", "test"),
            videos=msrvtt.official_videos,
            read=msrvtt.read_official,
        ),
        "activitynet": DataSet(
            title="ActivityNet Captions, paragraphs",
            splits=("train", "test", "val2"),
            videos=activitynet.videos,
            read=activitynet.read,
            frames=64,
            max_words=64,
        ),
        "didemo": DataSet(
            title="DiDeMo, paragraphs",
            splits=("train", "val", "test"),
            videos=didemo.videos,
            read=didemo.read,
            frames=64,
            max_words=64,
        ),
        "lsmdc": DataSet(
            title="LSMDC 2016",
            splits=("train", "val", "test"),
            videos=lsmdc.videos,
            read=lsmdc.read,
        ),
        "msvd": DataSet(
            title="MSVD, some 40 captions per video",
            splits=("train", "val", "test"),
            videos=msvd.videos,
            read=msvd.read,
        ),
        "vatex": DataSet(
            title="VATEX, ten English captions per video",
            splits=("train", "val", "test"),
            videos=vatex.videos,
            read=vatex.read,
        ),
        "msrvtt-qa": DataSet(
            title="MSRVTT-QA, questions and answers",
            splits=("train", "val", "test"),
            videos=msrvtt_qa.videos,
            read=None,
            ask=msrvtt_qa.read,
            answers=msrvtt_qa.answers,
        ),
        "msvd-qa": DataSet(
            title="MSVD-QA, questions and answers",
            splits=("train", "val", "test"),
            videos=msvd_qa.videos,
            read=None,
            ask=msvd_qa.read,
            answers=msvd_qa.answers,
        ),
    }
)


def dataset(name: str) -> DataSet:
    """The data set of this name."""
    if name not in DATASETS:
        raise UnknownName.among("data set", name, DATASETS)
    return DATASETS[name]


def read_split(name: str, split: str, *, annotations: Path) -> Split:
    """The pairs of one split of a published data set."""
    known = dataset(name)
    if known.read is None:
        with_pairs = [other for other, one in DATASETS.items() if one.read is not None]
        raise BadSetting(f"{name} has questions, not captions; with captions: {with_pairs}")
    return known.read(annotations, split)


def open_split(
    name: str,
    split: str | None,
    *,
    annotations: Path,
    part: str | None = None,
    videos: Path | None = None,
) -> Split:
    """The pairs of a split of a published data set, or of a person's folder or captions file.

    `split` and `part` of a folder name the rows with these values; None takes every row. `videos`
    is where a folder's files are looked up, if not beside its captions.
    """
    if name != FOLDER:
        if name not in DATASETS:
            raise UnknownName.among("data set", name, [*DATASETS, FOLDER])
        return read_split(name, split or "test", annotations=annotations)
    every = load_folder(annotations, split=split, part=part, videos=videos)
    return Split("/".join(filter(None, (annotations.name, split, part))), every)
