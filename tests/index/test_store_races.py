"""What one machine does between two steps of another: nothing is lost or there twice."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from store_kinds import (
    NEVER,
    WIDTH,
    Make,
    in_objects,
    moments_of,
    on_milvus,
    on_standalone,
    video,
)
from tempme.errors import BadIndex
from tempme.index.stores.keys import KEYS, has_key
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.rows import moment_rows, schema, video_rows
from tempme.index.stores.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    with in_objects(tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.fixture(scope="module", params=["s3", "milvus-lite", "milvus"])
def make_any(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """Every store that several machines write to."""
    stores = {"s3": in_objects, "milvus-lite": on_milvus, "milvus": on_standalone}
    with stores[request.param](tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+", "_", request.node.name).rstrip("_")


def two(make: Make, name: str) -> tuple[ObjectStore, ObjectStore]:
    first, second = make(name), make(name)
    assert isinstance(first, ObjectStore)
    assert isinstance(second, ObjectStore)
    return first, second


def put(store: Store, digest: str, path: str = "") -> None:
    store.put([video(path or f"{digest}.mp4", digest)], [moments_of(digest)])


def holds(store: Store, *digests: str) -> None:
    """Each content once, with all of its moments."""
    rows = store.videos()
    assert [(row.digest, row.status) for row in rows] == [(one, "ok") for one in digests]
    assert (store.num_moments(), len(store.gallery())) == (3 * len(digests), 3 * len(digests))
    assert not store.check()


def meanwhile(
    patch: pytest.MonkeyPatch,
    where: object,
    call: str,
    act: Callable[[], object],
    *first: str,
    once: bool = True,
) -> None:
    """Another one does `act`, `once`: after the next `open`, or before the next of other calls."""
    pending, real = [act] if once else [act] * 100, getattr(where, call)

    def interrupted(*given: object, **named: object) -> object:
        is_it = given[: len(first)] == first
        if call != "open" and is_it and pending:
            pending.pop()()
        answer = real(*given, **named)
        if call == "open" and is_it and pending:
            pending.pop()()
        return answer

    patch.setattr(where, call, interrupted)


@pytest.mark.parametrize("table", ["moments", "videos"])
@pytest.mark.parametrize("is_indexed", [False, True])
def test_of_two_that_insert_the_same_at_once_one_does(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch, table: str, is_indexed: bool
) -> None:
    """Both have seen a version without it; an index of the column is another way to the rows."""
    one, other = two(make, name)
    put(one, "a")
    if is_indexed:
        from lancedb.index import BTree

        one._objects.open(table).create_index(KEYS[table], config=BTree())
    meanwhile(monkeypatch, one._objects, "open", lambda: put(other, "b"), table)
    put(one, "b")
    holds(make(name), "a", "b")


def test_a_store_that_many_begin_at_once_keeps_what_each_puts(make: Make, name: str) -> None:
    digests = ["a", "b", "c", "d"]
    for turn in range(5):
        begin_at_once([make(f"{name}-{turn}") for _ in digests], digests)
        holds(make(f"{name}-{turn}"), *digests)


def begin_at_once(stores: Sequence[Store], digests: Sequence[str]) -> None:
    ready = threading.Barrier(len(digests))

    def begin(store: Store, digest: str) -> None:
        ready.wait()
        put(store, digest)

    with ThreadPoolExecutor(len(digests)) as threads:
        list(threads.map(begin, stores, digests))


def test_a_table_that_is_begun_late_keeps_what_is_in_it(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One saw no table; by the time it begins one, another has, and has written to it."""
    one, other = two(make, name)
    meanwhile(monkeypatch, one._objects.place.__class__, "write", lambda: put(other, "a"))
    put(one, "b")
    holds(make(name), "a", "b")


def before_rows(patch: pytest.MonkeyPatch, store: Store, act: Callable[[], object]) -> None:
    """Another one does `act` before this one writes rows."""
    if isinstance(store, MilvusStore):
        meanwhile(patch, store, "_upsert", act, store.server.videos)
    elif isinstance(store, ObjectStore):
        meanwhile(patch, store._objects, "upsert", act, "videos")


def before_deletion(patch: pytest.MonkeyPatch, store: Store, act: Callable[[], object]) -> None:
    """Another one does `act` before this one deletes moments, and has found which."""
    if isinstance(store, MilvusStore):
        meanwhile(patch, store, "_delete", act, store.server.moments)
    elif isinstance(store, ObjectStore):
        meanwhile(patch, store._objects, "delete", act, "moments")


def test_what_is_swept_before_its_row_is_there_is_put_again(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_any(name), make_any(name)
    put(one, "a")
    before_rows(monkeypatch, one, other.sweep)
    put(one, "b")
    holds(make_any(name), "a", "b")


def test_an_orphan_that_gets_a_row_while_it_is_swept_stays(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_any(name), make_any(name)
    for digest in ("a", "b", "c"):
        put(one, digest)
    one.forget([Path("/films/b.mp4"), Path("/films/c.mp4")])
    before_deletion(monkeypatch, other, lambda: put(one, "b"))
    assert other.sweep() == 1
    holds(make_any(name), "a", "b")


def test_what_is_put_while_moments_are_listed_stays(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has read rows by then, or reads them later."""
    one, other = make_any(name), make_any(name)
    for digest in ("a", "b"):
        put(one, digest)
    one.forget([Path("/films/b.mp4")])
    if isinstance(other, MilvusStore):
        meanwhile(monkeypatch, other.server, "pages", lambda: put(one, "c"), other.server.moments)
    else:
        meanwhile(monkeypatch, other, "videos", lambda: put(one, "c"))
    assert other.sweep() == 1
    holds(make_any(name), "a", "c")


def test_a_reader_between_a_deletion_and_what_puts_it_back_sees_the_end(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, reader = make_any(name), make_any(name), make_any(name)
    put(one, "a")
    put(one, "b")
    one.forget([Path("/films/b.mp4")])
    before_deletion(monkeypatch, other, lambda: put(one, "b"))
    if isinstance(other, MilvusStore):
        meanwhile(monkeypatch, other, "_upsert", reader.videos, other.server.moments)
    else:
        assert isinstance(other, ObjectStore)
        meanwhile(monkeypatch, other._objects, "put_back", reader.videos, "moments")
    assert other.sweep() == 0
    holds(reader, "a", "b")


def test_moments_that_are_swept_again_and_again_are_an_error(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever puts them is told, and may put them again."""
    one, other = make_any(name), make_any(name)
    put(one, "a")
    gone: Callable[[], object]
    with monkeypatch.context() as patch:
        if isinstance(other, MilvusStore):
            assert isinstance(one, MilvusStore)
            gone = partial(other._delete_moments, ["b"])
            meanwhile(patch, one, "_table", gone, once=False)
        else:
            assert isinstance(one, ObjectStore)
            assert isinstance(other, ObjectStore)
            gone = partial(other._objects.delete, "moments", "video", ["b"])
            meanwhile(patch, one._objects, "upsert", gone, "videos", once=False)
        with pytest.raises(BadIndex, match=r"other machines removed .* run the same command again"):
            put(one, "b")
    put(one, "b")
    holds(make_any(name), "a", "b")


@pytest.mark.parametrize("path", ["a.mp4", "copy.mp4"])
@pytest.mark.parametrize("is_later", [False, True])
def test_moments_that_two_machines_computed_differently_are_those_of_one(
    make_any: Make, name: str, monkeypatch: pytest.MonkeyPatch, path: str, is_later: bool
) -> None:
    """Of one content, the last bit of a feature may differ from one device to another."""
    one, other = make_any(name), make_any(name)
    mine = moments_of("a")
    theirs = replace(mine, features=-mine.features)
    row = replace(video(path, "a"), checksum=theirs.checksum)
    if not is_later:
        before_rows(monkeypatch, one, lambda: other.put([row], [theirs]))
    put(one, "a")
    if is_later:
        other.put([row], [theirs])
    fresh = make_any(name)
    assert {row.status for row in fresh.videos()} == {"ok"}
    assert {row.path.name for row in fresh.videos()} == {"a.mp4", path}
    assert fresh.num_moments() == 3
    assert not fresh.check()


def test_tables_without_a_key_are_given_one_by_the_next_writer(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version made them so; two machines may find that at the same time."""
    one, other = two(make, name)
    rows = {
        "videos": video_rows([video("a.mp4", "a")]),
        "moments": moment_rows([moments_of("a")], width=WIDTH),
    }
    database = one._objects._connected()
    for table, old in rows.items():
        database.create_table(table, schema=schema(table, width=WIDTH)).add(old)
    holds(make(name), "a")
    for table in KEYS:
        meanwhile(monkeypatch, one._objects, "open", lambda: put(other, "b"), table)
    put(one, "b")
    put(one, "c")
    assert all(has_key(table, one._objects.open(table).schema) for table in KEYS)
    holds(make(name), "a", "b", "c")


@pytest.mark.parametrize("act", ["tidy", "put", "sweep"])
@pytest.mark.parametrize("is_large", [False, True])
def test_two_may_tidy_up_at_once(
    make: Make, name: str, monkeypatch: pytest.MonkeyPatch, act: str, is_large: bool
) -> None:
    """Of a large store it makes an index of the features, too."""
    one, other = (make(name, index_from=9 if is_large else NEVER) for _ in range(2))
    assert isinstance(one, ObjectStore)
    for digest in ("a", "b", "c", "d"):
        put(one, digest)
    one.forget([Path("/films/d.mp4")])
    acts = {"tidy": other.tidy, "put": lambda: put(other, "e"), "sweep": other.sweep}
    for table in KEYS:
        meanwhile(monkeypatch, one._objects, "open", acts[act], table)
    one.tidy()
    one.sweep()
    assert one.is_large() == is_large
    holds(make(name), "a", "b", "c", *("e" if act == "put" else ""))
