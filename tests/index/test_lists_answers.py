"""Hits by way of the lists: those of an exact scan, whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lists_material import filled, put, queries_about, store_in, video_of, view_of_store
from tempme.index.lists.answers import EXACT_ROWS, answer
from tempme.index.lists.half import products, widened
from tempme.index.lists.looking import look
from tempme.index.lists.view import ListsView
from tempme.index.moments import Hit
from tempme.index.search import Request, Scan
from tempme.index.stores.lance import LanceStore

REQUESTS = (
    Request(k=10),
    Request(k=1),
    Request(k=10, moments=True),
    Request(k=40, min_score=0.6),
    Request(k=10, moments=True, min_score=0.5),
)
FILTERS = (
    {"under": Path("/films/a")},
    {"under": Path("/films/a/deep")},
    {"under": Path("/films/b")},
    {"under": Path("/films")},
    {"under": Path("/film")},
    {"under": Path("/films/a/0-0.mp4")},
    {"paths": frozenset(Path(f"/films/b/{n}-0.mp4") for n in range(2, 42, 4))},
    {"paths": frozenset(Path(f"/films/b/{n}-{n % 2}.mp4") for n in range(2, 1200, 4))},
    {"under": Path("/films/b"), "paths": frozenset([Path("/films/a/0-0.mp4")])},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    return filled(tmp_path_factory.mktemp("lists") / "a.tempme")


@pytest.fixture(scope="module")
def view(store: LanceStore) -> ListsView:
    return view_of_store(store)


@pytest.fixture(scope="module")
def scan(store: LanceStore) -> Scan:
    return Scan(store.gallery())


def check_same(found: Sequence[Hit], exact: Sequence[Hit]) -> None:
    """The same hits with the same scores; equals may have changed places."""
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in exact], abs=2e-6)
    least = exact[-1].score + 2e-6 if exact else 0
    named = [{replace(h, score=0.0) for h in hits if h.score > least} for hits in (found, exact)]
    assert named[0] == named[1]


def share_found(found: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """Recall: each found moment has the score that it has in a scan."""
    scores = {hit.moment_id: hit.score for hit in found}
    mine = [hit for hit in exact if hit.moment_id in scores]
    assert [scores[hit.moment_id] for hit in mine] == pytest.approx(
        [h.score for h in mine], abs=2e-6
    )
    return len(mine) / len(exact) if exact else 1.0


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("windows", [1, 6])
def test_hits_are_those_of_a_scan(
    view: ListsView, scan: Scan, request_: Request, windows: int
) -> None:
    shares = []
    for seed in range(12):
        queries = queries_about([97 * seed] * windows, seed=seed)
        found, exact = answer(view, queries, request_), scan.hits(queries, request_)
        assert len(found) == len(exact)
        shares.append(share_found(found, exact))
        assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)
    assert np.mean(shares) >= 0.98


def test_what_is_looked_at_to_the_end_is_exact(store: LanceStore, scan: Scan) -> None:
    view = view_of_store(store)
    view.scanned = view.num_moments
    for request in REQUESTS:
        for seed in range(6):
            queries = queries_about([53 * seed], seed=seed)
            check_same(answer(view, queries, request), scan.hits(queries, request))


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_let_nothing_else_through(
    view: ListsView, scan: Scan, filters: dict[str, object]
) -> None:
    for moments in (False, True):
        request = Request(k=12, moments=moments, **filters)  # type: ignore[arg-type]
        shares = []
        for seed in range(6):
            queries = queries_about([31 * seed], seed=seed)
            found, exact = answer(view, queries, request), scan.hits(queries, request)
            assert len(found) == len(exact)
            assert all(request.admits(path) for hit in found for path in hit.paths)
            shares.append(share_found(found, exact))
        assert np.mean(shares) >= 0.98


def test_few_admitted_moments_are_all_compared(view: ListsView, scan: Scan) -> None:
    paths = frozenset(video_of(n, scan.gallery.content(n)).path for n in range(0, 150, 2))
    request = Request(k=40, paths=paths)
    assert sum(len(scan.gallery.content(n).spans) for n in range(0, 150, 2)) < EXACT_ROWS
    for seed in range(4):
        queries = queries_about([seed], seed=seed)
        check_same(answer(view, queries, request), scan.hits(queries, request))


def test_more_hits_than_there_are_videos(view: ListsView, scan: Scan) -> None:
    queries = queries_about([3])
    for request in (Request(k=5000), Request(k=20_000, moments=True)):
        check_same(answer(view, queries, request), scan.hits(queries, request))


def test_ties_come_in_the_order_of_contents(view: ListsView, scan: Scan) -> None:
    """ReadArrays 6, 13, 20, ... are copies of the one before: equal to the last bit."""
    for number in (6, 13, 699):
        twin = scan.gallery.content(number - 1)
        query = widened(twin.features[:1])
        query /= np.linalg.norm(query)
        best = answer(view, query, Request(k=2))
        assert [hit.video_id for hit in best] == [f"{n:032x}" for n in (number - 1, number)]
        assert best[0].score == pytest.approx(best[1].score, abs=1e-6)


def test_a_look_finds_rows_where_they_are(view: ListsView, scan: Scan) -> None:
    queries = queries_about([5, 400])
    seen = look(view, queries, None, most=300, k=10)
    assert 300 <= len(seen) < view.num_moments
    exact = scan.scores(queries)
    first = scan.gallery.first
    for content, part, row, pair in zip(
        seen.contents, seen.parts, seen.rows, seen.scores.T, strict=True
    ):
        start = view.parts[part].spans[row, 0]
        place = first[content] + round(float(start) / 3.0)
        assert pair == pytest.approx(exact[:, place], abs=1e-5)


def test_several_searches_at_once(store: LanceStore, scan: Scan) -> None:
    view = view_of_store(store)
    asked = [queries_about([n], seed=n) for n in range(0, 1200, 40)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda queries: answer(view, queries, Request(k=3)), asked))
    for queries, hits in zip(asked, found, strict=True):
        assert hits == answer(view, queries, Request(k=3))
        check_same(hits[:1], scan.hits(queries, Request(k=1)))


def test_one_film_that_has_all_of_the_nearest(tmp_path: Path) -> None:
    """Its moments fill every list near the query; what others have lies far away."""
    store = store_in(tmp_path / "a.tempme")
    put(store, range(40))
    gallery = store.gallery()
    long = gallery.content(3)
    count = 6000
    spans = np.stack([3.0 * np.arange(count), 3.0 * np.arange(count) + 6.0], axis=1)
    random = np.random.default_rng(0)
    near = widened(long.features[:1]) + 0.05 * random.standard_normal((count, 32))
    features = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float16)
    moments = replace(long, digest="f" * 32, spans=spans, features=features)
    store.put([replace(video_of(7, moments), path=Path("/films/long.mp4"))], [moments])
    store.tidy()
    view, scan = view_of_store(store), Scan(store.gallery())
    query = queries_about([3])
    for request in (Request(k=20), Request(k=20, moments=True), Request(k=30, min_score=0.2)):
        check_same(answer(view, query, request), scan.hits(query, request))


def test_halves_are_widened_to_the_bit() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 64)
    assert np.array_equal(widened(finite), finite.astype(np.float32))
    random = np.random.default_rng(0)
    rows = random.standard_normal((700, 48)).astype(np.float16)
    queries = random.standard_normal((3, 48)).astype(np.float32)
    assert np.allclose(products(queries, rows), queries @ rows.astype(np.float32).T, atol=1e-4)
