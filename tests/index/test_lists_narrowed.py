"""Lists in memory of what a filter admits: what they find, and that nothing else is looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lists_material import filled, part_of, put, queries_about, unit, view_of_store
from tempme.index.filtered import CONTENT_BYTES_OF_LISTS, FilteredScans
from tempme.index.header import Cutting, Header
from tempme.index.lists.answers import admitted_contents, answer
from tempme.index.lists.array_file import Unusable
from tempme.index.lists.calibrating import PROMISED
from tempme.index.lists.lists import Lists
from tempme.index.lists.narrowed import narrowed
from tempme.index.lists.view import ListsView
from tempme.index.moments import Hit, Moments, Video
from tempme.index.search import Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.stores.lance import LanceStore

LONG, PER_VIDEO, VIDEOS, PER_TOPIC = 64, 6, 6000, 20
A = Request(k=12, under=Path("/films/a"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    """With some contents that no list has yet."""
    store = filled(tmp_path_factory.mktemp("narrowed") / "a.tempme")
    put(store, range(1200, 1230))
    return store


@pytest.fixture(scope="module")
def view(store: LanceStore) -> ListsView:
    return view_of_store(store)


def narrowed_to(view: ListsView, request: Request) -> ListsView:
    admitted = admitted_contents(view, request)
    assert admitted is not None
    return narrowed(view, admitted)


def told(hits: list[Hit]) -> list[tuple[object, ...]]:
    return [(hit.moment_id, hit.paths, round(hit.score, 5)) for hit in hits]


@pytest.mark.parametrize("moments", [False, True])
@pytest.mark.parametrize("windows", [1, 4])
def test_where_all_lists_are_looked_into_hits_are_those_of_a_scan(
    store: LanceStore, view: ListsView, moments: bool, windows: int
) -> None:
    """Of moments in lists and in none; of files in several folders, those that are admitted."""
    few = narrowed_to(view, A)
    few.scanned = few.num_moments
    scan = Scan(store.gallery())
    assert len(few.memory) > 0
    for about in (0, 17, 604, 1205):
        queries = queries_about([about] * windows, seed=about)
        for k in (1, 12):
            request = replace(A, k=k, moments=moments)
            assert told(answer(few, queries, request)) == told(scan.hits(queries, request))


def test_it_has_what_is_admitted_and_nothing_else(view: ListsView) -> None:
    few = narrowed_to(view, A)
    admitted = admitted_contents(view, A)
    assert admitted is not None
    assert few.num_moments == int(view.counts[admitted].sum()) < view.num_moments
    assert few.num_dead == 0
    (part,) = few.parts
    for number in range(0, len(few.tree.centres), 7):
        rows = part.rows_in(np.array([number]))
        assert len(rows) == sum(
            int(admitted[view.owners[place][one.owner[one.rows_in(np.array([number]))]]].sum())
            for place, one in enumerate(view.parts)
        )
        assert admitted[few.owners[0][part.owner[rows]]].all()


def test_rows_are_read_alone_or_with_their_lists_and_both_are_held_against_checksums(
    tmp_path: Path,
) -> None:
    store = filled(tmp_path / "a.tempme", 600)
    (part,) = view_of_store(store).parts
    lists, queries = np.arange(len(part.bounds) - 1), queries_about([3, 300])
    (fresh,) = view_of_store(store).parts
    for step in (1, 2, 40, 999):  # all, and so few that they are read alone
        counts = np.arange(0, len(part), step)
        first = fresh.products_of(lists, counts, queries)
        again = fresh.products_of(lists, counts, queries)
        wanted = part.products_in(lists, queries)[:, counts]
        np.testing.assert_allclose(first, wanted, atol=1e-6)
        np.testing.assert_allclose(again, wanted, atol=1e-6)
    none = np.zeros(0, dtype=np.int64)
    assert fresh.products_of(lists, none, queries).shape == (2, 0)
    damaged = bytearray(part_of(store).read_bytes())
    damaged[100] ^= 1  # in the features of the first row
    part_of(store).write_bytes(bytes(damaged))
    (bad,) = view_of_store(store).parts
    with pytest.raises(Unusable, match="list"):
        bad.products_of(lists, np.array([1]), queries)


# --- a larger index, whose filters leave too much to be compared


def features_of(topic: int, video: int) -> NDArray[np.float16]:
    about = np.random.default_rng((1, topic)).standard_normal(LONG)
    random = np.random.default_rng((2, video))
    own = 2 * about + random.standard_normal(LONG)
    return unit(own + 0.3 * random.standard_normal((PER_VIDEO, LONG))).astype(np.float16)


def path_of(number: int) -> Path:
    return Path(f"/films/{number}.mp4")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    """36,000 moments of videos about 300 topics."""
    folder = tmp_path_factory.mktemp("large")
    store = LanceStore(folder, features=LONG, index_from=1000)
    starts = 3.0 * np.arange(PER_VIDEO)
    spans = np.stack([starts, starts + 5], axis=1)
    contents = [
        Moments(f"{number:032x}", spans, features_of(number // PER_TOPIC, number))
        for number in range(VIDEOS)
    ]
    rows = [
        Video(path_of(n), one.digest, 1, 1, num_moments=PER_VIDEO, checksum=one.checksum)
        for n, one in enumerate(contents)
    ]
    store.put(rows, contents)
    store.tidy()
    return store


def request_for(numbers: NDArray[np.int64]) -> Request:
    return Request(10, paths=frozenset(map(path_of, numbers.tolist())))


def queries_for(topics: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(4)
    about = [np.random.default_rng((1, topic)).standard_normal(LONG) for topic in topics.tolist()]
    return [unit((one + 0.6 * random.standard_normal(LONG))[None]) for one in about]


@pytest.mark.slow
def test_recall_is_kept_whatever_a_filter_has_to_do_with_what_is_asked(large: LanceStore) -> None:
    """By chance; a folder that alone has what is asked, and one that has all but that."""
    view = Lists(large.folder, large, width=LONG).view()
    assert view is not None
    numbers, topics = np.arange(VIDEOS), np.arange(VIDEOS // PER_TOPIC)
    chance = np.random.default_rng(5).random(VIDEOS)
    is_half, asked = numbers < VIDEOS // 2, topics[::8]
    filters = {
        **{f"{share}": (numbers[chance < share], asked) for share in (0.9, 0.5, 0.25)},
        "alone": (numbers[is_half], asked[asked < len(topics) // 2]),
        "none of it": (numbers[is_half], asked[asked >= len(topics) // 2]),
    }
    for name, (those, about) in filters.items():
        request, recalls, num_seen = request_for(those), [], 0
        few = narrowed_to(view, request)
        scan = Scan(few.gallery(np.flatnonzero(few.counts)), is_admitted=True)
        for query in queries_for(about):
            exact = {hit.moment_id for hit in scan.hits(query, request)}
            for one in (few, view):
                found = {hit.moment_id for hit in answer(one, query, request)}
                recalls.append(len(exact & found) / len(exact))
            num_seen += 1
        assert num_seen >= 15
        assert np.mean(recalls) >= PROMISED, name


@pytest.mark.slow
def test_a_filter_that_leaves_much_is_kept_as_lists_once_its_searches_have_paid_for_it(
    large: LanceStore,
) -> None:
    view = Lists(large.folder, large, width=LONG).view()
    assert view is not None
    request = request_for(np.arange(0, VIDEOS, 2))
    (query, *_) = queries_for(np.arange(1))
    scans, num_searches = FilteredScans(rows_of_looking=100), 0
    while not scans.num_kept():
        (hits,) = scans.answer_all(view, [Asked(query, request)])
        num_searches += 1
        assert num_searches <= view.num_moments
    total = view.num_moments // 2
    assert scans.num_kept() == total
    # As many as read what is read to keep it, and the one that does.
    assert num_searches == 1 + -(-total // view.wanted(total))
    (again,) = scans.answer_all(view, [Asked(query, request)])
    assert told(again) == told(hits)
    few = FilteredScans(rows_of_looking=100, most_rows=total - 1)
    for _ in range(num_searches + 2):
        few.answer_all(view, [Asked(query, request)])
    assert few.num_kept() == 0


@pytest.mark.slow
def test_what_lies_beside_the_features_of_a_kept_filter_takes_room_too(large: LanceStore) -> None:
    """Arrays of as many values as the index has contents, whatever the filter admits."""
    view = Lists(large.folder, large, width=LONG).view()
    assert view is not None
    request = request_for(np.arange(0, VIDEOS, 2))
    admitted = admitted_contents(view, request)
    assert admitted is not None
    kept = narrowed(view, admitted)
    shared = {id(array) for array in view.catalog.arrays.values()}
    own = [*vars(kept).values(), *kept.catalog.arrays.values(), admitted]
    arrays = [one for one in own if isinstance(one, np.ndarray) and id(one) not in shared]
    beside = sum(one.nbytes for one in arrays if one.shape == (len(view.catalog),))
    assert beside == CONTENT_BYTES_OF_LISTS * len(view.catalog)
    (query, *_) = queries_for(np.arange(1))
    room = view.num_moments // 2 + math.ceil(beside / (2 * LONG))
    for most, is_kept in ((room, True), (room - 1, False)):
        scans = FilteredScans(rows_of_looking=100, most_rows=most)
        for _ in range(2 + -(-room // view.wanted(view.num_moments // 2))):
            scans.answer_all(view, [Asked(query, request)])
        assert bool(scans.num_kept()) == is_kept


@pytest.mark.slow
def test_what_is_kept_takes_little_more_than_a_search_of_all(large: LanceStore) -> None:
    """In rows that are looked at, which is what a search waits for."""
    view = Lists(large.folder, large, width=LONG).view()
    assert view is not None
    half = narrowed_to(view, request_for(np.arange(0, VIDEOS, 2)))
    assert half.scanned <= view.scanned
    assert half.sizes.sum() == view.num_moments // 2
    header = Header("none", "none", 1, LONG, Cutting())
    searcher = Searcher(large.folder, header, large, encoder=_no_model)
    request = request_for(np.arange(0, VIDEOS, 2))
    for query in queries_for(np.arange(3)):
        ((first, *_),) = searcher.answer_all([Asked(query, request, "visual")])
        assert int(first.video_id, 16) % 2 == 0


def _no_model() -> None:  # type: ignore[misc]
    raise AssertionError("a search by features needs no model")
