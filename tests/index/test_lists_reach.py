"""How far a search of lists looks: as far as it takes, measured when the lists are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lists_material import WIDTH, filled, put, view_of_store
from tempme.index.header import Cutting, Header
from tempme.index.lists.answers import EXACT_FILTERED_ROWS, answer
from tempme.index.lists.array_file import write_arrays
from tempme.index.lists.beyond import Beyond, expected, fitted
from tempme.index.lists.calibrating import FEWEST_ROWS, PROMISED, SHARES, Reach
from tempme.index.lists.opened import CATALOG, FOLDER, FORMAT, open_lists, reach_of
from tempme.index.lists.view import ListsView
from tempme.index.moments import Moments, Video
from tempme.index.search import Request, Scan
from tempme.index.status import Status
from tempme.index.stores.lance import LanceStore

LONG, PER_VIDEO, VIDEOS, PER_TOPIC = 64, 8, 2400, 10
QUERIES = 100


def content(number: int, *, topic: float) -> Moments:
    """Of ten videos about a topic that counts so much; nothing else brings videos together."""
    about = np.random.default_rng((1, number // PER_TOPIC)).standard_normal(LONG)
    random = np.random.default_rng((2, number))
    own = topic * about + random.standard_normal(LONG)
    rows = own + 0.3 * random.standard_normal((PER_VIDEO, LONG))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    starts = 3.0 * np.arange(PER_VIDEO)
    return Moments(f"{number:032x}", np.stack([starts, starts + 5], 1), rows.astype(np.float16))


def store_of(folder: Path, *, topic: float) -> LanceStore:
    folder.mkdir()
    store = LanceStore(folder, features=LONG, index_from=1000)
    contents = [content(number, topic=topic) for number in range(VIDEOS)]
    rows = [
        Video(path_of(n), one.digest, 1, 1, num_moments=PER_VIDEO, checksum=one.checksum)
        for n, one in enumerate(contents)
    ]
    store.put(rows, contents)
    store.tidy()
    return store


def path_of(number: int) -> Path:
    return Path(f"/films/{number}.mp4")


def recall(view: ListsView, scan: Scan, request: Request) -> float:
    """Of queries that are near to a moment, as words are to what they mean."""
    random = np.random.default_rng(7)
    found = []
    for row in random.integers(0, len(scan.gallery), QUERIES).tolist():
        noise = random.standard_normal(LONG) / np.sqrt(LONG)
        query = scan.gallery.features[row].astype(np.float64) + noise
        query = (query / np.linalg.norm(query))[None].astype(np.float32)
        exact = {hit.moment_id for hit in scan.hits(query, request)}
        hits = {hit.moment_id for hit in answer(view, query, request)}
        found.append(len(exact & hits) / len(exact))
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("topic", [0.7, 3.0], ids=["far apart", "together"])
def test_what_is_promised_is_found(tmp_path: Path, topic: float) -> None:
    """With a bound on the rows that are looked at, it is not, where moments lie far apart."""
    store = store_of(tmp_path / "a.tempme", topic=topic)
    view, scan = view_of_wide(store), Scan(store.gallery())
    assert (view.scanned == FEWEST_ROWS) == (topic == 3.0)
    assert recall(view, scan, Request(10)) >= PROMISED
    chance = np.random.default_rng(5)
    for share in (0.7, 0.3, 0.24):
        those = np.flatnonzero(chance.random(VIDEOS) < share).tolist()
        assert len(those) * PER_VIDEO > EXACT_FILTERED_ROWS
        request = Request(10, paths=frozenset(map(path_of, those)))
        assert recall(view, scan, request) >= PROMISED
    few = Request(10, paths=frozenset(map(path_of, range(0, VIDEOS, 6))))
    assert recall(view, scan, few) == 1.0
    if topic < 1:
        told = Status.of(store.folder, header(LONG), store, name=str(store.folder))
        assert told.looked_at == pytest.approx(view.scanned / view.num_moments, abs=1e-3)
        assert told.looked_at > 0.125
        assert told.recall is not None
        assert told.recall > 0.95


@pytest.mark.slow
def test_a_folder_without_what_is_asked_for_is_searched_further(tmp_path: Path) -> None:
    """Its nearest are hardly nearer than anything, and lie in no list near to the query."""
    store = store_of(tmp_path / "a.tempme", topic=3.0)
    view, gallery = view_of_wide(store), store.gallery()
    half = frozenset(map(path_of, range(VIDEOS // 2)))
    rows = np.flatnonzero(gallery.owner >= VIDEOS // 2)
    assert half.isdisjoint(path for n in gallery.owner[rows] for path in gallery.paths[n])
    found, scan = [], Scan(gallery)
    for row in rows[:: len(rows) // 30].tolist():
        query = gallery.features[row][None].astype(np.float32)
        query /= np.linalg.norm(query)
        request = Request(10, paths=half)
        exact = {hit.moment_id for hit in scan.hits(query, request)}
        found.append(len(exact & {hit.moment_id for hit in answer(view, query, request)}) / 10)
    assert np.mean(found) >= PROMISED


def test_what_lies_beyond_is_counted_as_a_normal_number_has_it() -> None:
    random = np.random.default_rng(0)
    near = np.array([0.6, 0.5, 0.1, -0.2], dtype=np.float32)
    sizes = np.array([50_000.0, 20_000, 100_000, 1000])
    means = 0.8 * near
    drawn = [random.normal(mean, 0.1, int(size)) for mean, size in zip(means, sizes, strict=True)]
    beyond = Beyond(0.8, 0.1, most=0.5, most_filtered=0.001)
    for least in (0.3, 0.5, 0.7):
        counts = np.array([(one > least).sum() for one in drawn])
        told = expected(0.8, 0.1, near, sizes, np.array([least], np.float32))
        assert told == pytest.approx(np.cumsum(counts[::-1])[::-1], rel=0.15, abs=9)
    assert [beyond.num_lists(near, sizes, s, is_filtered=False) for s in (1.1, 0.6, -1)] == [
        0,
        2,
        4,
    ]
    assert [beyond.num_lists(near, sizes, s, is_filtered=True) for s in (1.1, 0.6, -1)] == [0, 3, 4]
    slope, spread = fitted(np.concatenate(drawn), np.repeat(near, sizes.astype(int)))
    assert slope == pytest.approx(0.8, abs=0.01)
    assert spread == pytest.approx(0.1, rel=0.02)


def view_of_wide(store: LanceStore) -> ListsView:
    from tempme.index.lists.lists import Lists

    view = Lists(store.folder, store, width=LONG).view()
    assert view is not None
    return view


def header(width: int) -> Header:
    return Header("none", "none", 1, width, Cutting())


def test_of_a_filter_between_two_shares_that_were_measured_so_is_the_part() -> None:
    parts = (0.01, 0.1, 0.3, 0.5, 0.9)
    reach = Reach(3000, parts, 0.99)
    assert [reach.part(share) for share in SHARES] == pytest.approx(parts)
    assert reach.part(0.5) == pytest.approx(np.sqrt(0.01 * 0.1))
    assert reach.part(1 / 8) == pytest.approx(np.sqrt(0.1 * 0.3))
    assert reach.part(0.24) == pytest.approx(0.1, rel=0.05)
    assert reach.part(0.001) == 1.0
    assert Reach(3000, (0.0,) * len(SHARES), 0.99).part(0.3) < 1e-5


def test_an_index_without_lists_says_that_all_is_looked_at(tmp_path: Path) -> None:
    assert reach_of(tmp_path) is None


@pytest.mark.slow
def test_lists_of_format_1_are_searched_and_made_anew(tmp_path: Path) -> None:
    """They have the tree in the catalogue, and a bound on how far a search looks."""
    store = filled(tmp_path / "a.tempme")
    opened = open_lists(store.folder, width=WIDTH)
    assert opened is not None
    facts = {
        "format": 1,
        "width": WIDTH,
        "version": opened.facts.version,
        "parts": opened.facts.parts,
        "left_out": [],
        "grown_from": opened.facts.grown_from,
        "scanned": 2048,
    }
    tree = {"cells": opened.tree.cells, "centres": opened.tree.centres, "first": opened.tree.first}
    path = store.folder / FOLDER / CATALOG
    (store.folder / FOLDER / opened.facts.tree).unlink()
    write_arrays(path, facts, {**opened.catalog.arrays, **tree})  # type: ignore[dict-item]
    view = view_of_store(store)
    assert view.num_moments == store.num_moments()
    assert reach_of(store.folder) == (2048 / opened.facts.grown_from, None)
    put(store, [1200])
    store.tidy()
    again = open_lists(store.folder, width=WIDTH)
    assert again is not None
    assert again.facts.tree
    assert again.facts.reach.recall is not None
    assert FORMAT == 2
    assert view_of_store(store).num_moments == store.num_moments()
