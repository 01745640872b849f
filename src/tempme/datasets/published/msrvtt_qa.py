"""MSRVTT-QA (Xu et al., MM 2017): a question, a video, an answer among the most frequent ones.

Files, as the authors publish them: `{train,val,test}_qa.json` (integer `video_id` 12 is
`video12.mp4`); or as VindLU and UMT do: `msrvtt_qa_{train,val,test}.json` (`video` is a file name)
with `msrvtt_qa_answer_list.json`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.published.annotations import read_json, unknown_split

SPLITS = ("train", "val", "test")
ANSWERS = "msrvtt_qa_answer_list.json"


@dataclass(frozen=True)
class Question:
    """A question about a video, and its one-word answer."""

    video: str
    question: str
    answer: str


@dataclass(frozen=True)
class Numbered:
    """A question as the authors publish it."""

    video_id: int
    question: str
    answer: str


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Every video of the split once, in order of first question."""
    return tuple(dict.fromkeys(one.video for one in read(annotations, split)))


def read(annotations: Path, split: str) -> tuple[Question, ...]:
    """The questions of "train", "val" or "test"."""
    if split not in SPLITS:
        raise unknown_split("msrvtt-qa", split, SPLITS)
    vindlu = annotations / f"msrvtt_qa_{split}.json"
    if vindlu.exists():
        return tuple(read_json(vindlu, list[Question]))
    numbered = read_json(annotations / f"{split}_qa.json", list[Numbered])
    return tuple(Question(f"video{one.video_id}.mp4", one.question, one.answer) for one in numbered)


def answers(annotations: Path, *, most_frequent: int = 1000) -> tuple[str, ...]:
    """What may be answered: the published list, else the most frequent answers of training."""
    published = annotations / ANSWERS
    if published.exists():
        return tuple(read_json(published, list[str]))
    counts = Counter(one.answer for one in read(annotations, "train"))
    return tuple(answer for answer, _ in counts.most_common(most_frequent))
