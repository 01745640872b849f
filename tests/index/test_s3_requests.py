"""What a search costs an object store: few requests, and as many for a large index as for more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_s3
from lists_material import WIDTH, moments_of, put, queries_about, searcher, video_of
from loopback import BUCKET, s3_server
from tempme.errors import BadIndex
from tempme.index.moments import Hit
from tempme.index.search import Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place, s3

pytestmark = pytest.mark.slow


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
    other = served.store("removed", index_from=index_from)
    for numbers in (range(600, 700), range(700, 800)):
        put(other, numbers)
    assert {int(hit.video_id, 16) // 100 for hit in ask(searching, 650)} <= {6, 7}
