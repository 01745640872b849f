"""What a search costs an object store: few requests, and as many for a large index as for more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_s3
from lists_material import WIDTH, moments_of, put, queries_about, searcher, video_of
from loopback import BUCKET, s3_server
from tempme.errors import BadIndex
from tempme.index.building.encode import Encoder
from tempme.index.header import NAME as HEADER
from tempme.index.header import Cutting, Header
from tempme.index.lists.opened import FOLDER, has_lists, stamp_of
from tempme.index.lock import writing
from tempme.index.moments import Hit
from tempme.index.search import Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.side_files import side_files_of
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place, s3

pytestmark = pytest.mark.slow
SECOND = 1.1  # object stores tell times by the second


@dataclass(frozen=True)
class Served:
    """A server of which each request is a line in `log`, and a folder of this machine."""

    log: Path
    folder: Path

    def requests(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "HTTP/1" in line]

    def store(self, name: str, *, index_from: int) -> ObjectStore:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        place = Place.of(f"s3://{BUCKET}/{name}")
        return ObjectStore(place, folder, features=WIDTH, index_from=index_from)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    needs_s3()
    with s3_server(tmp_path / "log") as told:
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        yield Served(tmp_path / "log", tmp_path)


def ask(searching: Searcher, about: int, **what: object) -> list[Hit]:
    request = Request(k=10, **what)  # type: ignore[arg-type]
    (hits,) = searching.answer_all([Asked(queries_about([about]), request, "visual")])
    return hits


@pytest.mark.parametrize("count", [100, 300])
def test_a_small_index_is_asked_for_its_version_and_nothing_else(
    served: Served, count: int
) -> None:
    store = served.store("small", index_from=10**6)
    put(store, range(count))
    store.tidy()
    searching = searcher(served.store("small", index_from=10**6))
    ask(searching, 3)
    before = len(served.requests())
    hits = ask(searching, 40)
    made = served.requests()[before:]
    assert len(made) <= 3
    assert all("list-type" in one for one in made)
    assert [hit.score for hit in hits] == pytest.approx(
        [hit.score for hit in Scan(store.gallery()).hits(queries_about([40]), Request(k=10))]
    )


def test_a_large_index_is_read_in_so_many_requests_whatever_its_size(served: Served) -> None:
    numbers = {}
    for count in (100, 600):
        store = served.store(f"large{count}", index_from=300)
        put(store, range(count))
        store.tidy()
        searching = searcher(served.store(f"large{count}", index_from=300))
        assert store.is_large()
        for about in (3, 40, 50):
            ask(searching, about)
        before = len(served.requests())
        assert len(ask(searching, 20)) == 10
        made = served.requests()[before:]
        assert sum("list-type" in one for one in made) <= 8
        numbers[count] = len(made)
    assert max(numbers.values()) <= 40


@pytest.mark.parametrize("index_from", [300, 10**6])
def test_what_another_machine_writes_and_removes_is_seen_by_the_next_search(
    served: Served, index_from: int
) -> None:
    mine = served.store("shared", index_from=index_from)
    put(mine, range(200))
    mine.tidy()
    searching = searcher(served.store("shared", index_from=index_from))
    ask(searching, 3)
    other = served.store("shared", index_from=index_from)
    fresh = moments_of(900)
    other.put([video_of(900, fresh)], [fresh])
    query = fresh.features[:1].astype(np.float32)
    query /= np.linalg.norm(query)
    asked = [Asked(query, Request(k=1), "visual")]
    assert searching.answer_all(asked)[0][0].video_id == fresh.digest
    other.forget([video_of(900, fresh).path])
    other.sweep()
    assert searching.answer_all(asked)[0][0].video_id != fresh.digest


@pytest.mark.parametrize("index_from", [300, 10**6])
def test_a_table_that_is_removed_is_an_error_and_another_in_its_place_is_read(
    served: Served, index_from: int
) -> None:
    """Someone deletes it, or puts a new one there, while a search has it open."""
    mine = served.store("removed", index_from=index_from)
    put(mine, range(200))
    mine.tidy()
    searching = searcher(served.store("removed", index_from=index_from))
    ask(searching, 3)
    place = Place.of(f"s3://{BUCKET}/removed")
    place.remove([one.name for one in place.files("moments.lance") if "_versions" in one.name])
    for _ in range(2):
        with pytest.raises(BadIndex, match=r"(?i)cannot be read: moments\.lance: .*not found"):
            ask(searching, 3)
    s3().delete_dir(place.key)
    time.sleep(SECOND)
    other = served.store("removed", index_from=index_from)
    for numbers in (range(600, 700), range(700, 800)):
        put(other, numbers)
    assert {int(hit.video_id, 16) // 100 for hit in ask(searching, 650)} <= {6, 7}


def test_lists_on_this_machine_answer_and_the_store_is_asked_for_its_version_alone(
    served: Served,
) -> None:
    """Whoever wrote has them; another machine goes on by the index in the store."""
    store = served.store("listed", index_from=300)
    put(store, range(400))
    store.tidy()
    searching = searcher(store)
    assert has_lists(store.folder)
    ask(searching, 3)
    exact = Scan(store.gallery())
    folder = Path("/films/a")
    for more in ({}, {"moments": True}, {"under": folder}):
        before = len(served.requests())
        hits = ask(searching, 40, **more)
        made = served.requests()[before:]
        assert len(made) <= 2
        assert all("list-type" in one for one in made)
        wanted = exact.hits(queries_about([40]), Request(k=10, **more))
        assert [hit.score for hit in hits] == pytest.approx([h.score for h in wanted], abs=2e-6)


def far_searcher(store: ObjectStore) -> Searcher:
    header = Header("none", "none", 1, WIDTH, Cutting())
    return Searcher(store.folder, header, store, encoder=no_model, is_far=True)


def no_model() -> Encoder:
    raise AssertionError("a search by features needs no model")


def again(served: Served, folder: str, *, index_from: int = 300) -> ObjectStore:
    """The index `shared` as another machine opens it."""
    (served.folder / folder).mkdir(exist_ok=True)
    place = Place.of(f"s3://{BUCKET}/shared")
    return ObjectStore(place, served.folder / folder, features=WIDTH, index_from=index_from)


def same_as_all(store: ObjectStore, searching: Searcher, about: int) -> None:
    exact = Scan(store.gallery()).hits(queries_about([about]), Request(k=10))
    assert [hit.score for hit in ask(searching, about)] == pytest.approx(
        [hit.score for hit in exact], abs=2e-6
    )


def test_who_stays_open_makes_lists_and_a_search_alone_does_not(served: Served) -> None:
    store = again(served, "writer")
    put(store, range(400))
    store.tidy()
    open_store = again(served, "open")
    staying = far_searcher(open_store)
    ask(staying, 3)
    assert not has_lists(open_store.folder)
    staying.list_here()
    assert has_lists(open_store.folder)
    put(store, range(400, 430))
    same_as_all(store, staying, 415)
    stamp = stamp_of(open_store.folder)
    with writing(open_store.folder / FOLDER):
        staying.list_here()  # another process makes them
    assert stamp_of(open_store.folder) == stamp
    staying.list_here()
    assert stamp_of(open_store.folder) != stamp
    same_as_all(store, staying, 415)
    # Made again under the same name, with as many writes, at another time.
    s3().delete_dir(Place.of(f"s3://{BUCKET}/shared").key)
    time.sleep(SECOND)
    other = again(served, "other")
    put(other, range(1000, 1400))
    other.tidy()
    put(other, range(1400, 1430))
    same_as_all(other, staying, 1100)


def test_several_that_stay_open_make_lists_at_once_and_one_does(served: Served) -> None:
    store = again(served, "writer")
    put(store, range(400))
    store.tidy()
    crowd = [far_searcher(again(served, "open")) for _ in range(4)]
    with ThreadPoolExecutor(len(crowd)) as threads, writing(served.folder / "open"):
        for done in [threads.submit(each.list_here) for each in crowd]:
            done.result()
    for each in crowd:
        assert each._lists.view() is not None
        same_as_all(store, each, 3)


def test_lists_go_with_a_header_of_another_model(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = Place.of(f"s3://{BUCKET}/shared")
    store = again(served, "writer")
    put(store, range(400))
    store.tidy()
    for model, had in (("one", False), ("one", True), ("other", False)):
        Header(model, f"{model}-0", 1, WIDTH, Cutting()).write(tmp_path)
        place.write(HEADER, (tmp_path / HEADER).read_bytes())
        folder = side_files_of(place)
        assert has_lists(folder) == had
        far_searcher(ObjectStore(place, folder, features=WIDTH, index_from=300)).list_here()
        assert has_lists(folder)


def test_lists_that_lack_too_much_are_not_used(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempme.index.searcher.EXACT_MOMENTS", 100)
    store = again(served, "writer")
    put(store, range(300))
    store.tidy()
    put(again(served, "other"), range(300, 400))
    searching = far_searcher(store)
    assert searching._lists.view() is None
    assert len(ask(searching, 350)) == 10
    searching.list_here()
    assert searching._lists.view() is not None
    same_as_all(store, searching, 350)


def test_of_an_archive_no_lists_are_made(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    store = again(served, "writer")
    put(store, range(300))
    store.tidy()
    assert has_lists(store.folder)
    monkeypatch.setattr("tempme.index.lists.upkeep.MOST_FETCHED", store.num_moments())
    put(store, range(300, 310))
    before = len(served.requests())
    far_searcher(store).list_here()
    assert not has_lists(store.folder)
    store.tidy()
    assert not has_lists(store.folder)
    same_as_all(store, far_searcher(store), 305)
    assert len(served.requests()) > before


def test_a_disk_without_room_is_one_line_and_searches_go_on(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempme.index.lists.upkeep.COPIES_WHILE_MADE", 10**12)
    store = again(served, "writer")
    put(store, range(400))
    store.tidy()
    assert not has_lists(store.folder)
    (line,) = caplog.messages
    assert "cannot be written (no room for" in line
    assert len(ask(searcher(store), 3)) == 10
    (store.folder / FOLDER / "lock").unlink()
    (store.folder / FOLDER / "lock").mkdir()
    caplog.clear()
    far_searcher(store).list_here()
    (line,) = caplog.messages
    assert "is a directory" in line or "remove it" in line
    assert len(ask(far_searcher(store), 3)) == 10
