"""A snapshot that is not as we write it is passed over, whatever is wrong with it."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tempme.index.moments import Gallery
from tempme.index.stores.snapshot import NAME, read_snapshot, write_snapshot

WIDTH = 8
Arrays = dict[str, Any]


@pytest.fixture
def gallery() -> Gallery:
    features = np.random.default_rng(0).standard_normal((6, WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Gallery(
        contents=("d1", "d2"),
        paths=((Path("/films/a.mp4"), Path("/films/copy of a.mp4")), (Path("/films/é.mp4"),)),
        owner=np.array([0, 0, 1, 1, 1, 1]),
        spans=np.stack([np.arange(6.0), np.arange(6.0) + 2], axis=1),
        features=features.astype(np.float16),
        left_out=(Path("/films/lost.mp4"),),
    )


@pytest.fixture
def folder(tmp_path: Path, gallery: Gallery) -> Path:
    write_snapshot(tmp_path, gallery, versions="7 7")
    return tmp_path


def read(folder: Path, *, width: int = WIDTH, most: int = 100) -> Gallery | None:
    return read_snapshot(folder, versions="7 7", width=width, most_moments=most)


def test_it_comes_back_as_it_went_in(folder: Path, gallery: Gallery) -> None:
    found = read(folder)
    assert found is not None
    assert (found.contents, found.paths) == (gallery.contents, gallery.paths)
    assert found.left_out == gallery.left_out
    for name in ("owner", "spans", "features"):
        assert np.array_equal(getattr(found, name), getattr(gallery, name))
    assert read_snapshot(folder, versions="8 7", width=WIDTH, most_moments=100) is None
    assert read_snapshot(folder, versions=None, width=WIDTH, most_moments=100) is not None
    assert read(folder, width=WIDTH + 1) is None
    assert read(folder, most=5) is None


def test_any_one_bit_that_changes_is_noticed(folder: Path, gallery: Gallery) -> None:
    content = (folder / NAME).read_bytes()
    chance = random.Random(0)
    for _ in range(400):
        spoiled = bytearray(content)
        spoiled[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (folder / NAME).write_bytes(spoiled)
        found = read(folder)  # a date in the archive may change without harm
        assert found is None or np.array_equal(found.features, gallery.features)
        assert found is None or (found.contents, found.paths) == (gallery.contents, gallery.paths)
        assert found is None or np.array_equal(found.spans, gallery.spans)


def change(name: str, to: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: to(arrays[name])}


def named(**changes: Any) -> Callable[[Arrays], Arrays]:
    def to(names: Any) -> Any:
        text = json.dumps(json.loads(names.tobytes()) | changes).encode()
        return np.frombuffer(text, np.uint8)

    return change("names", to)


def with_nan(values: Any) -> Any:
    return np.where(np.arange(len(values))[:, None] == 2, np.nan, values).astype(values.dtype)


SPOILED: dict[str, Callable[[Arrays], Arrays]] = {
    "features of nan": change("features", with_nan),
    "times of nan": change("spans", with_nan),
    "times before 0": change("spans", lambda spans: spans - 5),
    "ends before starts": change("spans", lambda spans: spans[:, ::-1]),
    "times without end": change("spans", lambda spans: spans + 1e12),
    "an owner that is none": change("owner", lambda owner: owner + 1),
    "an owner below 0": change("owner", lambda owner: owner - 1),
    "owners in disorder": change("owner", lambda owner: owner[::-1]),
    "too few features": change("features", lambda features: features[:5]),
    "narrower features": change("features", lambda features: features[:, :4]),
    "other numbers": change("features", lambda features: features.astype(np.float32)),
    "owners of another type": change("owner", lambda owner: owner.astype(np.float64)),
    "one more dimension": change("owner", lambda owner: owner[:, None]),
    "column by column": change("spans", np.asfortranarray),
    "objects": change("owner", lambda owner: owner.astype(object)),
    "a content less": named(contents=["d1"]),
    "a content without files": named(paths=[["/films/a.mp4"], []]),
    "contents that are no text": named(contents=[1, 2]),
    "paths that are no list": named(paths=7),
    "paths that are no text": named(paths=[[1], [2]]),
    "no contents": named(contents=None),
    "names that are no object": change("names", lambda _: np.frombuffer(b"[1]", np.uint8)),
    "names nested without end": change("names", lambda _: np.full(100_000, ord("["), np.uint8)),
    "no JSON": change("names", lambda names: names[:10]),
    "no features": lambda arrays: {k: v for k, v in arrays.items() if k != "features"},
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_cannot_be_is_passed_over(folder: Path, kind: str) -> None:
    with np.load(folder / NAME) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / NAME, **SPOILED[kind](arrays))
    assert read(folder) is None


def test_what_is_compressed_is_not_unpacked(folder: Path) -> None:
    with np.load(folder / NAME) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(folder / NAME, **arrays)
    assert read(folder) is None


def test_a_header_that_asks_for_all_memory_gets_none(folder: Path) -> None:
    with zipfile.ZipFile(folder / NAME) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    header = io.BytesIO()
    fields = {"descr": "<f2", "fortran_order": False, "shape": (10**12, WIDTH)}
    np.lib.format.write_array_header_1_0(header, fields)
    kept["features.npy"] = header.getvalue()
    with zipfile.ZipFile(folder / NAME, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    assert read(folder) is None
