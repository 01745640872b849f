"""Indexes for the tests of the search lists: clustered features, ties, files of equal content."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tempme.index.header import Cutting, Header
from tempme.index.lists.lists import Lists
from tempme.index.lists.opened import CATALOG, FOLDER
from tempme.index.lists.view import ListsView
from tempme.index.moments import Moments, Video
from tempme.index.search import Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.stores.lance import LanceStore

WIDTH = 32
PER_TOPIC = 30
# Contents of the index that a test damages.
COUNT = 400
FOLDERS = ("a", "a/deep", "b", "c \N{CLAPPER BOARD}")


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def topic(number: int) -> NDArray[np.float64]:
    return np.random.default_rng(number).standard_normal(WIDTH)


def moments_of(number: int) -> Moments:
    """Content `number`: 1 to 12 windows about its topic; each seventh is a copy of another."""
    random = np.random.default_rng(10**6 + number - (number % 7 == 6))
    about = topic(number // PER_TOPIC) + 0.5 * random.standard_normal(WIDTH)
    count = int(random.integers(1, 13))
    features = unit(about + 0.4 * random.standard_normal((count, WIDTH)))
    starts = 3.0 * np.arange(count)
    spans = np.stack([starts, starts + 6.0], axis=1)
    return Moments(f"{number:032x}", spans, features.astype(np.float16))


def video_of(number: int, moments: Moments, *, copy: int = 0) -> Video:
    folder = Path("/films") / FOLDERS[number % len(FOLDERS)]
    return Video(
        folder / f"{number}-{copy}.mp4",
        moments.digest,
        1,
        1,
        num_moments=len(moments.spans),
        checksum=moments.checksum,
    )


def put(store: LanceStore, numbers: Iterable[int]) -> None:
    """Write these contents; each fifth is in two files."""
    rows, contents = [], []
    for number in numbers:
        contents.append(moments_of(number))
        rows += [video_of(number, contents[-1], copy=copy) for copy in range(1 + (number % 5 == 0))]
    store.put(rows, contents)


def store_in(folder: Path, *, index_from: int = 1000) -> LanceStore:
    folder.mkdir(exist_ok=True)
    return LanceStore(folder, features=WIDTH, index_from=index_from)


def filled(folder: Path, count: int = 1200) -> LanceStore:
    """A store with lists of so many contents (some 7,500 moments of 1,200)."""
    store = store_in(folder)
    put(store, range(count))
    store.tidy()
    assert (folder / FOLDER / CATALOG).is_file()
    return store


def view_of_store(store: LanceStore) -> ListsView:
    view = Lists(store.folder, store, width=WIDTH).view()
    assert view is not None
    return view


def queries_about(numbers: Iterable[int], *, seed: int = 0) -> NDArray[np.float32]:
    """Unit rows (Q, D): about the topics of these contents."""
    random = np.random.default_rng(seed)
    return unit(
        np.stack([topic(n // PER_TOPIC) + 0.5 * random.standard_normal(WIDTH) for n in numbers])
    )


def searcher(store: LanceStore) -> Searcher:
    header = Header("none", "none", 1, WIDTH, Cutting())
    return Searcher(store.folder, header, store, encoder=_no_model)


def _no_model() -> None:  # type: ignore[misc]
    raise AssertionError("a search by features needs no model")


def check_answers(store: LanceStore, searcher: Searcher) -> None:
    """Whatever became of the lists, hits are those of the tables."""
    scan = Scan(store_in(store.folder, index_from=10**9).gallery())
    for seed in range(0, COUNT, 45):
        query = queries_about([seed], seed=seed)
        request = Request(k=5)
        (hits,) = searcher.answer_all([Asked(query, request, "visual")])
        exact = scan.hits(query, request)
        least = exact[-1].score + 2e-6  # equals may change places, the last ones come and go
        named = [{hit.moment_id for hit in one if hit.score > least} for one in (hits, exact)]
        assert named[0] == named[1]
        assert [hit.score for hit in hits] == pytest.approx([h.score for h in exact], abs=2e-6)


def part_of(store: LanceStore) -> Path:
    (part,) = (store.folder / FOLDER).glob("part-*")
    return part
