"""MSVD-QA (Xu et al., MM 2017): as MSRVTT-QA, about the clips of MSVD.

Files, as VindLU and UMT have them: `msvd_qa_{train,val,test}.json` (`video` is a file name, the
`question` one text, the `answer` one word) with `msvd_qa_answer_list.json`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tempme.datasets.published.annotations import read_json, unknown_split
from tempme.datasets.published.msrvtt_qa import Question

SPLITS = ("train", "val", "test")
ANSWERS = "msvd_qa_answer_list.json"


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Every video of the split once, in order of first question."""
    return tuple(dict.fromkeys(one.video for one in read(annotations, split)))


def read(annotations: Path, split: str) -> tuple[Question, ...]:
    """The questions of "train", "val" or "test"."""
    if split not in SPLITS:
        raise unknown_split("msvd-qa", split, SPLITS)
    return tuple(read_json(annotations / f"msvd_qa_{split}.json", list[Question]))


def answers(annotations: Path, *, most_frequent: int = 1000) -> tuple[str, ...]:
    """What may be answered: the published list, else the most frequent answers of training."""
    published = annotations / ANSWERS
    if published.exists():
        return tuple(dict.fromkeys(read_json(published, list[str])))
    counts = Counter(one.answer for one in read(annotations, "train"))
    return tuple(answer for answer, _ in counts.most_common(most_frequent))
