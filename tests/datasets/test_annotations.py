"""Annotation files that hold something else are refused with the place, whatever it is."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tempme.datasets.pairs import Split
from tempme.datasets.published import activitynet, msrvtt, msrvtt_qa, msvd
from tempme.datasets.table import DATASETS
from tempme.errors import BadDataset

SMALL: dict[str, dict[str, Any]] = {
    "msrvtt-full": {
        "MSRVTT_data.json": {
            "info": {},
            "videos": [{"id": 1, "video_id": "video1", "split": "validate"}],
            "sentences": [{"sen_id": 0, "video_id": "video1", "caption": "a dog"}],
        }
    },
    "activitynet": {"val_2.json": {"v_abc": {"duration": 9, "sentences": ["A man.", "He sits."]}}},
    "didemo": {"val_data.json": [{"video": "a.mp4", "description": "a dog", "times": [[1, 1]]}]},
    "msvd": {"val_list.txt": "a_0_5", "raw-captions.pkl": {"a_0_5": [["a", "dog"], "dogs"]}},
    "vatex": {"vatex_validation_v1.0.json": [{"videoID": "a_1_11", "enCap": ["a dog", "dogs"]}]},
    "msrvtt-qa": {"val_qa.json": [{"video_id": 12, "question": "what?", "answer": "paper"}]},
}
ODD = [None, 3, 1.5, "", " ", "\ud800", [], {}, [None], {"a": []}, True]


def changed(document: Any) -> Iterator[Any]:
    """The document with each of its parts replaced by each odd value, or left out."""
    yield from ODD
    if isinstance(document, dict | list):
        places = list(document) if isinstance(document, dict) else range(len(document))
        for place in places:
            for part in changed(document[place]):
                copied = document.copy()
                copied[place] = part
                yield copied
            left = document.copy()
            del left[place]
            yield left


@pytest.mark.parametrize("name", SMALL)
def test_a_part_that_is_something_else_is_named(name: str, tmp_path: Path) -> None:
    known, refused = DATASETS[name], 0
    *lists, (last, document) = SMALL[name].items()
    for file, lines in lists:
        (tmp_path / file).write_text(lines)
    split = "val2" if name == "activitynet" else "val"
    for content in changed(document):
        data = pickle.dumps(content) if last.endswith("pkl") else json.dumps(content).encode()
        (tmp_path / last).write_bytes(data)
        try:
            read = (known.read or msrvtt_qa.read)(tmp_path, split)
        except BadDataset:
            refused += 1
        else:
            pairs = read.pairs if isinstance(read, Split) else read
            assert all(isinstance(pair.video, str) and pair.video.strip() for pair in pairs)
    assert refused > 20


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("not json")
    (tmp_path / "MSRVTT_train.9k.csv").write_text("id\nvideo1")
    with pytest.raises(BadDataset, match=r"train\.json is not JSON"):
        activitynet.read(tmp_path, "train")
    with pytest.raises(BadDataset, match="starts with 'id'"):
        msrvtt.videos(tmp_path, "train")
    (tmp_path / msrvtt.TEST).write_text("a,b\n1,2")
    with pytest.raises(BadDataset, match="at 0 > video_id: Field required"):
        msrvtt.videos(tmp_path, "test")
    (tmp_path / "MSRVTT_train.9k.csv").write_text("")
    with pytest.raises(BadDataset, match="starts with 'nothing'"):
        msrvtt.videos(tmp_path, "train")
    for short in ("", "video_id,sentence\nvideo1", "video_id,sentence\n1,2\n\0"):
        (tmp_path / msrvtt.TEST).write_text(short)
        with pytest.raises(BadDataset, match=r"no pairs|at . > sentence|not CSV"):
            msrvtt.read(tmp_path, "test")
    (tmp_path / "test_list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadDataset, match="not UTF-8"):
        msvd.videos(tmp_path, "test")
