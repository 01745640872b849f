"""Search lists that a stranger wrote, with checksums that fit: nothing of them is believed."""

from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from lists_material import (
    WIDTH,
    check_answers,
    part_of,
    queries_about,
    searcher,
    view_of_store,
)
from tempme.index.lists.answers import answer
from tempme.index.lists.array_file import _END, MAGIC, ArrayFile, Unusable, write_arrays
from tempme.index.lists.opened import CATALOG, FOLDER, open_lists
from tempme.index.lists.part import KINDS
from tempme.index.search import Asked, Request
from tempme.index.stores.lance import LanceStore


def test_features_of_another_content(listed: LanceStore) -> None:
    """Rows that changed places, under checksums that fit: the content's own checksum tells."""
    rewritten(part_of(listed), rows=lambda rows: rows[::-1].copy())
    view = view_of_store(listed)
    with pytest.raises(Unusable, match="content"):
        view.gallery(np.arange(20))
    check = searcher(listed)
    (hits,) = check.answer_all([Asked(queries_about([1]), Request(k=3, moments=True), "visual")])
    assert len(hits) == 3


def rewritten(path: Path, *, rows=None, **changes) -> None:  # type: ignore[no-untyped-def]
    """The same part with other numbers, and checksums that fit them."""
    file = ArrayFile(path, KINDS)
    arrays = {name: array.copy() for name, array in file.contents.arrays.items()}
    content = np.frombuffer(file.read(0, file.rows_bytes), "<f2").reshape(-1, WIDTH)
    content = content if rows is None else rows(content)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    bounds = arrays["bounds"]
    if rows is not None:
        pieces = [content[a:b] for a, b in pairwise(bounds)]
        arrays["sums"] = np.array([crc32(piece.tobytes()) for piece in pieces], np.uint32)
    facts = dict(file.contents.facts)
    file.close()
    path.unlink()
    write_arrays(path, facts, arrays, rows=[content])


HOSTILE = {
    "an owner beyond all contents": {"owner": lambda a: a + 10**6},
    "a negative owner": {"owner": lambda a: a - 1},
    "a row beyond the end": {"position": lambda a: a + 1},
    "lists that run backwards": {"bounds": lambda a: a[::-1].copy()},
    "contents that end too late": {"first": lambda a: a + 5},
    "times that are no numbers": {"spans": lambda a: a * np.nan},
    "lengths of nothing": {"norms": lambda a: a * 0},
    "too few sums": {"sums": lambda a: a[:-1]},
    "too many rows": {"owner": lambda a: np.repeat(a, 2)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_numbers_that_lead_elsewhere(listed: LanceStore, name: str) -> None:
    rewritten(part_of(listed), **HOSTILE[name])
    with pytest.raises(Unusable):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))


def test_features_that_are_no_numbers(listed: LanceStore) -> None:
    rewritten(part_of(listed), rows=lambda rows: np.full_like(rows, np.nan))
    view = view_of_store(listed)
    with pytest.raises(Unusable, match="no number"):
        answer(view, queries_about([3]), Request(k=3))
    check_answers(listed, searcher(listed))


@pytest.mark.parametrize(
    "change",
    [
        {"parts": ["../../elsewhere"]},
        {"parts": ["part-" + "0" * 12] * 100},
        {"parts": 7},
        {"format": 3},
        {"width": 8},
        {"left_out": ["a\0zz"]},
        {"scanned": "many"},
        {"scanned_parts": [0.1]},
        {"scanned_parts": [7.0] * 5},
        {"recall": "all"},
        {"beyond": None},
        {"beyond": [1.0, 0.0, 0.1, 0.1]},
        {"beyond": [1.0, 0.1]},
        {"tree": "../elsewhere"},
        {"tree": "tree-0"},
        {"version": None, "parts": []},
    ],
    ids=str,
)
def test_a_catalogue_that_says_something_else(
    listed: LanceStore, change: dict[str, object]
) -> None:
    path = listed.folder / FOLDER / CATALOG
    _with_facts(path, change)
    before = {p: p.read_bytes() for p in listed.folder.parent.glob("*") if p.is_file()}
    with pytest.raises(Unusable):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))
    assert before == {p: p.read_bytes() for p in listed.folder.parent.glob("*") if p.is_file()}


def _with_facts(path: Path, change: dict[str, object]) -> None:
    content = path.read_bytes()
    length, _, _ = _END.unpack(content[-_END.size :])
    told = json.loads(content[-_END.size - length : -_END.size])
    told["facts"].update(change)
    table = json.dumps(told).encode()
    body = content[: -_END.size - length]
    path.write_bytes(body + table + _END.pack(len(table), crc32(table), MAGIC))


@pytest.mark.parametrize("told", [b"[]", b"{}", b"[" * 100_000, b'{"rows": 1e999}', b"\xff"])
def test_a_table_that_is_none_of_ours(listed: LanceStore, told: bytes) -> None:
    path = listed.folder / FOLDER / CATALOG
    path.write_bytes(told + _END.pack(len(told), crc32(told), MAGIC))
    with pytest.raises(Unusable):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_opened(listed: LanceStore, tmp_path: Path, kind: str) -> None:
    part = part_of(listed)
    secret = tmp_path / "secret"
    shutil.move(part, secret)
    if kind == "link":
        part.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(part)
    else:
        part.mkdir()
    content = secret.read_bytes()
    with pytest.raises(Unusable):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))
    assert secret.read_bytes() == content
