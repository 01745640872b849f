"""A search needs neither PyTorch nor LanceDB where the index keeps the text side of its model."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tempme
from index_material import write_films
from tempme.index import Index
from tempme.index.words import NAME, read_words, write_words

# Nothing of these can be imported: as on a machine where they are not installed.
ABSENT = ("torch", "lancedb", "lance", "av", "pyarrow", "transformers")
SEARCH = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))
from tempme.index import Index
index = Index.open(sys.argv[1])
import json
print(json.dumps([hit.as_dict() for hit in index.search("a red circle", 9)]))
print(json.dumps([index.notes_on("a red zebra"), index.model.origin]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("words")
    index = Index.create(folder / "films.tempme", tempme.load("scenes-tiny"))
    index.add(write_films(folder / "films"))
    return index


@pytest.mark.slow
def test_where_they_are_not_installed(made: Index) -> None:
    command = [sys.executable, "-c", SEARCH, str(made.path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    hits, (notes, origin) = map(json.loads, told)
    whole = Index.open(made.path, retriever=tempme.load("scenes-tiny"))
    expected = whole.search("a red circle", 9)
    assert [hit["path"] for hit in hits] == [str(hit.path) for hit in expected]
    # The whole model may compute in half precision.
    assert [hit["score"] for hit in hits] == pytest.approx([h.score for h in expected], abs=0.01)
    assert tuple(notes) == whole.notes_on("a red zebra")
    assert "zebra" in notes[0]
    assert origin == whole.retriever.origin


def test_what_is_damaged_or_of_another_model_is_passed_over(made: Index, tmp_path: Path) -> None:
    index = shutil.copytree(made.path, tmp_path / "films.tempme")
    kept, chance = index / NAME, random.Random(3)
    content = kept.read_bytes()
    whole = read_words(index, made.header)
    assert whole is not None
    damaged = [b"", content[:1000], content[:-100], b"\0" * len(content), content + b"more" * 9]
    for _ in range(30):
        place = chance.randrange(len(content))
        bit = bytes([content[place] ^ 1 << chance.randrange(8)])
        damaged.append(content[:place] + bit + content[place + 1 :])
    for one in damaged:
        kept.write_bytes(one)
        found = read_words(index, made.header)
        if found is not None:  # what was hit says nothing, such as a date
            told = found.words.encode_texts(["a red circle"])
            assert (told == whole.words.encode_texts(["a red circle"])).all()
    kept.write_bytes(b"")
    assert Index.open(index).search("a red circle", 9)
    kept.write_bytes(content)
    header = made.header
    object.__setattr__(header := type(header)(**vars(header)), "fingerprint", "another")
    assert read_words(index, header) is None
    kept.unlink()
    kept.mkdir()
    assert read_words(index, made.header) is None


def test_what_is_huge_is_neither_kept_nor_believed(
    made: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read_words(made.path, made.header)
    assert kept is not None
    monkeypatch.setattr("tempme.index.words.MOST_BYTES", 1000)
    write_words(tmp_path, kept, fingerprint="f")
    assert not (tmp_path / NAME).exists()
    assert read_words(made.path, made.header) is None


def test_features_of_another_width_or_none_at_all_are_not_believed(
    made: Index, tmp_path: Path
) -> None:
    narrower = type(made.header)(**vars(made.header) | {"features": made.header.features - 1})
    assert read_words(made.path, narrower) is None
    kept = read_words(made.path, made.header)
    assert kept is not None
    kept.words.arrays["ln_final.weight"][:] = np.inf
    write_words(tmp_path, kept, fingerprint=made.header.fingerprint)
    assert (tmp_path / NAME).is_file()
    assert read_words(tmp_path, made.header) is None
