"""Searches below a filter that is used again: those of an exact scan, from memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lists_material import filled, put, queries_about, view_of_store
from tempme.index import filtered
from tempme.index.filtered import ROWS_OF_SCAN, FilteredScans
from tempme.index.lists.view import ListsView
from tempme.index.moments import Gallery, Hit
from tempme.index.search import Asked, Request, Scan
from tempme.index.stores.lance import LanceStore

ROOM = 2500 * ROWS_OF_SCAN
THOSE_IN_B = frozenset(Path(f"/films/b/{n}-{n % 2}.mp4") for n in range(2, 1200, 4))
FILTERS: tuple[dict[str, object], ...] = (
    {"under": Path("/films/a")},
    {"under": Path("/films/nowhere")},
    {"paths": THOSE_IN_B},
    {"paths": frozenset()},
    {"under": Path("/films/b"), "paths": THOSE_IN_B},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    return filled(tmp_path_factory.mktemp("filtered") / "a.tempme")


@pytest.fixture(scope="module")
def view(store: LanceStore) -> ListsView:
    return view_of_store(store)


@pytest.fixture(scope="module")
def scan(store: LanceStore) -> Scan:
    return Scan(store.gallery())


def told(hits: Sequence[Hit]) -> list[tuple[object, ...]]:
    return [(hit.moment_id, hit.paths, round(hit.score, 5)) for hit in hits]


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("moments", [False, True])
@pytest.mark.parametrize("windows", [1, 4])
@pytest.mark.one_in(2)
def test_what_is_kept_gives_the_hits_of_an_exact_scan(
    view: ListsView, scan: Scan, wanted: dict[str, object], moments: bool, windows: int
) -> None:
    scans = FilteredScans()
    for about in (3, 17, 31):
        queries = queries_about([about] * windows)
        request = Request(k=12, moments=moments, **wanted)  # type: ignore[arg-type]
        asked = [Asked(queries, request), Asked(queries, Request(k=5))]
        scans.answer_all(view, asked)
        found = scans.answer_all(view, asked)
        assert told(found[0]) == told(scan.hits(queries, request))
        assert len(found[1]) == 5


def test_a_filter_is_kept_when_it_comes_again_and_what_is_most_is_let_go(view: ListsView) -> None:
    query = queries_about([3])
    scans = FilteredScans(most_rows=ROOM)
    a, b = Request(under=Path("/films/a")), Request(paths=THOSE_IN_B)
    scans.answer_all(view, [Asked(query, Request())] * 2)
    scans.answer_all(view, [Asked(query, b)])
    assert scans.num_kept() == 0
    scans.answer_all(view, [Asked(query, b)])
    of_b = scans.num_kept()
    assert 0 < of_b < ROOM // ROWS_OF_SCAN
    scans.answer_all(view, [Asked(query, a)] * 2)  # more than there is room for
    assert scans.num_kept() == of_b
    deep = Request(under=Path("/films/a/deep"))
    scans.answer_all(view, [Asked(query, deep)] * 2)
    of_deep = scans.num_kept()
    assert 0 < of_deep < ROOM // ROWS_OF_SCAN
    assert of_deep != of_b
    scans.answer_all(view, [Asked(query, b)])
    assert scans.num_kept() == of_deep  # what was let go is to pay anew
    scans.answer_all(view, [Asked(query, b)])
    assert scans.num_kept() == of_b


class CountedScan(Scan):
    """Notes how often it is made."""

    made = 0

    def __init__(self, gallery: Gallery, *, is_admitted: bool = False) -> None:
        type(self).made += 1
        super().__init__(gallery, is_admitted=is_admitted)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[CountedScan]:
    monkeypatch.setattr(CountedScan, "made", 0)
    monkeypatch.setattr(filtered, "Scan", CountedScan)
    return CountedScan


def test_filters_in_turns_without_room_for_both_are_not_made_at_every_search(
    view: ListsView, counted: type[CountedScan]
) -> None:
    query, scans = queries_about([3]), FilteredScans(most_rows=ROOM)
    deep, b = Request(under=Path("/films/a/deep")), Request(paths=THOSE_IN_B)
    for _ in range(20):
        for request in (deep, b):
            scans.answer_all(view, [Asked(query, request)])
    assert 2 <= counted.made <= 20


def test_one_of_many_threads_brings_a_filter_into_memory(
    view: ListsView, scan: Scan, counted: type[CountedScan]
) -> None:
    scans, query = FilteredScans(), queries_about([3])
    request = Request(k=8, under=Path("/films/b"))
    begin = threading.Barrier(8)

    def searched(_: int) -> list[list[Hit]]:
        begin.wait()
        return [scans.answer_all(view, [Asked(query, request)])[0] for _ in range(6)]

    with ThreadPoolExecutor(8) as pool:
        found = [hits for some in pool.map(searched, range(8)) for hits in some]
    assert counted.made == 1
    assert all(told(hits) == told(scan.hits(query, request)) for hits in found)


def test_what_is_written_since_is_found_below_a_filter_that_was_kept(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme", 400)
    before, scans = view_of_store(store), FilteredScans()
    request = Request(k=10, under=Path("/films/b"))
    query = queries_about([1200])
    for _ in range(3):
        scans.answer_all(before, [Asked(query, request)])
    put(store, range(1200, 1230))
    store.forget([Path("/films/b/2-0.mp4")])
    (found,) = scans.answer_all(view_of_store(store), [Asked(query, request)])
    (again,) = scans.answer_all(view_of_store(store), [Asked(query, request)])
    exact = Scan(store.gallery()).hits(query, request)
    assert told(found) == told(again) == told(exact)
    assert int(exact[0].video_id, 16) >= 1200


def test_threads_may_search_at_once(view: ListsView, scan: Scan) -> None:
    scans = FilteredScans(most_rows=ROOM)
    wanted = [Request(k=8, **one) for one in FILTERS] * 4  # type: ignore[arg-type]
    queries = [queries_about([number]) for number in range(len(wanted))]

    def searched(place: int) -> list[Hit]:
        return scans.answer_all(view, [Asked(queries[place], wanted[place])])[0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(searched, [*range(len(wanted))] * 2))
    for place, hits in enumerate(found[len(wanted) :]):
        exact = scan.hits(queries[place], wanted[place])
        assert np.allclose([hit.score for hit in hits], [hit.score for hit in exact], atol=1e-5)
