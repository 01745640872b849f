"""A background that is not as we write it is made anew, whatever is wrong with it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from index_material import ColourRetriever
from tempme.index import Hit, Index, judging
from tempme.index.judging import NAME

Arrays = dict[str, Any]


def hits_of(index: Index) -> list[Hit]:
    return Index.open(index.path, retriever=ColourRetriever()).search("red yellow", moments=True)


def arrays_of(path: Path) -> Arrays:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def said(arrays: Arrays, **facts: object) -> Arrays:
    known = json.loads(bytes(arrays["facts"]))
    return {**arrays, "facts": np.frombuffer(json.dumps(known | facts).encode(), np.uint8)}


def test_what_is_kept_is_read(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thousand phrases would be encoded before the first search of every process."""
    expected, asked = hits_of(index), []
    monkeypatch.setattr(judging, "background_of", asked.append)
    assert hits_of(index) == expected
    assert not asked


def test_a_run_makes_it_anew_of_the_moments_that_there_are(index: Index, tmp_path: Path) -> None:
    """Of a small index at once, however little it has grown."""
    Image.new("RGB", (90, 60), (30, 50, 220)).save(tmp_path / "blue.png")
    before = json.loads(bytes(arrays_of(index.path / NAME)["facts"]))
    index.add(tmp_path / "blue.png", pictures=True, workers=1)
    after = json.loads(bytes(arrays_of(index.path / NAME)["facts"]))
    assert after["num_moments"] == before["num_moments"] + 1 == index.num_moments()
    assert after["version"] != before["version"]


def test_it_counts_in_the_size_of_the_index(index: Index) -> None:
    hits_of(index)
    lying = sum(file.stat().st_size for file in index.path.rglob("*") if file.is_file())
    assert index.status().size_bytes == lying > (index.path / NAME).stat().st_size


CHANGES: dict[str, Callable[[Arrays], Arrays]] = {
    "no number": lambda a: {**a, "centre": a["centre"] * np.float32("nan")},
    "infinite": lambda a: {**a, "covariance": a["covariance"] + np.float32("inf")},
    "no text": lambda a: {**a, "texts": a["texts"] * np.float16("nan")},
    "other width": lambda a: {**a, "covariance": a["covariance"][:, :-1]},
    "fewer rows": lambda a: {**a, "covariance": a["covariance"][:-1]},
    "other kind": lambda a: {**a, "maxima": a["maxima"].astype(np.float64)},
    "out of order": lambda a: {**a, "maxima": a["maxima"][::-1].copy()},
    "without": lambda a: {name: a[name] for name in a if name != "maxima"},
    "spread": lambda a: said(a, spread=0),
    "size": lambda a: said(a, size="many"),
    "count": lambda a: said(a, num_moments=None),
    "facts": lambda a: {**a, "facts": np.frombuffer(b"[]", np.uint8)},
    "deep": lambda a: {**a, "facts": np.frombuffer(b"[" * 60_000, np.uint8)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_made_anew(index: Index, change: str) -> None:
    expected, kept = hits_of(index), index.path / NAME
    arrays = arrays_of(kept)
    np.savez(kept, **CHANGES[change](arrays))
    assert hits_of(index) == expected
    for name, array in arrays_of(kept).items():
        assert np.array_equal(array, arrays[name]), name


def test_an_archive_that_unpacks_to_more_is_not_unpacked(index: Index) -> None:
    expected, kept = hits_of(index), index.path / NAME
    arrays = arrays_of(kept)
    np.savez_compressed(kept, **arrays | {"texts": np.zeros((10**6, 32), np.float16)})
    with zipfile.ZipFile(kept) as archive:
        assert archive.getinfo("texts.npy").compress_size < 10**6
    assert hits_of(index) == expected
    assert arrays_of(kept).keys() == arrays.keys()
    assert len(arrays_of(kept)["texts"]) == len(arrays["texts"])


def test_a_folder_in_its_place_only_slows_a_search(index: Index) -> None:
    expected, kept = hits_of(index), index.path / NAME
    kept.unlink()
    (kept / "inside").mkdir(parents=True)
    assert hits_of(index) == expected
