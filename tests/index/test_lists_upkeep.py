"""The search lists of an index that changes: they grow, and are made anew where that is due."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from golden_files import MATERIAL
from lists_material import (
    WIDTH,
    filled,
    moments_of,
    put,
    queries_about,
    store_in,
    video_of,
    view_of_store,
)
from tempme.index.lists.answers import answer
from tempme.index.lists.lists import Lists
from tempme.index.lists.opened import CATALOG, FOLDER, open_lists
from tempme.index.lists.upkeep import MOST_PARTS
from tempme.index.lists.view import ListsView
from tempme.index.search import Request, Scan
from tempme.index.stores.lance import LanceStore

ASKED = (3, 200, 431, 777, 1190, 1230)


def check_finds_all(store: LanceStore, view: ListsView | None = None) -> None:
    """All moments are there as the tables have them, and what is near is found."""
    view = view or view_of_store(store)
    gallery = store.gallery()
    mine = view.gallery(np.arange(len(view.catalog)))
    assert (mine.contents, tuple(mine.paths)) == (gallery.contents, gallery.paths)
    for name in ("owner", "spans", "features"):
        assert np.array_equal(getattr(mine, name), getattr(gallery, name))
    scan = Scan(gallery)
    for number in ASKED:
        query = queries_about([number], seed=number)
        found, exact = answer(view, query, Request(k=5)), scan.hits(query, Request(k=5))
        assert [hit.score for hit in found] == pytest.approx([h.score for h in exact], abs=2e-6)


def parts(folder: Path) -> set[str]:
    return {path.name for path in (folder / FOLDER).iterdir() if path.name.startswith("part-")}


def sizes(folder: Path) -> list[int]:
    opened = open_lists(folder, width=WIDTH)
    assert opened is not None
    opened.close()
    return [len(part) for part in opened.parts]


@pytest.mark.slow
def test_what_is_added_goes_into_a_part_of_its_own(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme")
    (first,) = parts(store.folder)
    before = (store.folder / FOLDER / first).stat()
    written = before.st_ino, before.st_mtime_ns, before.st_size
    put(store, range(1200, 1212))
    store.tidy()
    assert len(parts(store.folder)) == 2
    after = (store.folder / FOLDER / first).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == written
    assert sizes(store.folder)[1] == sum(len(moments_of(n).spans) for n in range(1200, 1212))
    check_finds_all(store)


@pytest.mark.slow
def test_many_parts_become_two_and_none_is_left_lying(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme")
    for step in range(MOST_PARTS):
        put(store, range(1200 + 3 * step, 1203 + 3 * step))
        store.tidy()
        assert parts(store.folder) == set(_named(store.folder))
    assert len(parts(store.folder)) == 2
    check_finds_all(store)


def _named(folder: Path) -> Sequence[str]:
    opened = open_lists(folder, width=WIDTH)
    assert opened is not None
    opened.close()
    return opened.facts.parts


@pytest.mark.slow
def test_an_index_that_doubles_gets_new_lists(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme", 300)
    put(store, range(300, 1200))
    check_finds_all(store)
    store.tidy()
    assert len(parts(store.folder)) == 1
    check_finds_all(store)


@pytest.mark.slow
def test_what_is_forgotten_is_not_found_and_its_room_given_back(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme")
    gone = [video_of(n, moments_of(n)).path for n in range(1, 1200, 50) if n % 5]
    store.forget(gone)
    view = view_of_store(store)
    assert view.num_dead
    check_finds_all(store, view)
    store.sweep()
    store.tidy()
    assert len(parts(store.folder)) == 1
    check_finds_all(store)
    more = [video_of(n, moments_of(n)).path for n in range(1200) if n % 3 and n % 5]
    store.forget(more)
    store.sweep()
    store.tidy()
    assert view_of_store(store).num_dead == 0
    check_finds_all(store)


def test_a_small_index_gives_its_lists_up(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme")
    row_paths = [row.path for row in store.videos()]
    store.forget(row_paths[100:])
    store.sweep()
    store.tidy()
    assert not (store.folder / FOLDER).exists()
    assert not store.is_large()
    assert (store.folder / "scan.npz").is_file()


@pytest.mark.slow
def test_a_content_that_changed_is_taken_from_the_tables(tmp_path: Path) -> None:
    """As after a repair with another version of a model: the same content, other moments."""
    store = filled(tmp_path / "a.tempme")
    row = video_of(1, moments_of(1))
    store.forget([row.path])
    store.sweep()
    changed = moments_of(2)
    changed = type(changed)(row.digest, changed.spans, changed.features)
    store.put([video_of(1, changed)], [changed])
    check_finds_all(store)
    store.tidy()
    check_finds_all(store)


WRITE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from lists_material import put, store_in, video_of, moments_of
store = store_in(Path(sys.argv[1]))
put(store, range(1200, 1260))
store.forget([video_of(7, moments_of(7)).path])
print("written", flush=True)
sys.stdin.readline()
store.tidy()
"""


def run(script: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(folder), str(MATERIAL), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_reader_sees_what_another_process_writes(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.tempme")
    reader = Lists(store.folder, store_in(store.folder), width=WIDTH)
    before = reader.view()
    assert before is not None
    with run(WRITE, store.folder) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        between = reader.view()
        assert between is not None
        assert between.catalog.find(f"{1259:032x}") is not None
        assert between.catalog.find(f"{7:032x}") is None
        check_finds_all(store, between)
        writer.communicate("\n", timeout=300)
        assert writer.returncode == 0
    after = reader.view()
    assert after is not None
    assert not len(after.memory)
    check_finds_all(store, after)
    # Who still holds what was there before reads it to the end.
    assert len(before.gallery(np.arange(len(before.catalog)))) == before.num_moments


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:3]
from lists_material import put, store_in
store = store_in(Path(sys.argv[1]))
left = int(sys.argv[3])
def watch(event, args):
    global left
    name = str(args[0]) if args else ""
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and "/lists" in name:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
put(store, range(1200 + 10 * left, 1210 + 10 * left))
store.tidy()
"""


@pytest.mark.slow
@pytest.mark.parametrize("anew", [False, True])
def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path: Path, anew: bool) -> None:
    """Killed at some of the files that it opens, renames or removes, one run after the other."""
    store = filled(tmp_path / "a.tempme")
    for step in (1, 3, 4, 6):
        if anew:
            (store.folder / FOLDER / CATALOG).unlink()
        with run(KILLED, store.folder, str(step)) as writer:
            writer.communicate(timeout=300)
        assert writer.returncode == -signal.SIGKILL
        if (view := Lists(store.folder, store, width=WIDTH).view()) is not None:
            check_finds_all(store, view)
        store.tidy()
        assert parts(store.folder) == set(_named(store.folder))
        check_finds_all(store)


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:3]
from lists_material import put, store_in
store = store_in(Path(sys.argv[1]))
put(store, range(1200, 1260))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from tempme.index.lists.upkeep import ListsSource, update_lists
update_lists(store.folder, ListsSource(store, store.pieces), width=32)
print("went on")
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_lists_that_were_there(tmp_path: Path) -> None:
    """A limit on file size stands for a full disk: the write fails half-way in the same place."""
    store = filled(tmp_path / "a.tempme")
    before = parts(store.folder)
    with run(FULL, store.folder) as writer:
        said, _ = writer.communicate(timeout=300)
    assert said == "went on\n"
    assert parts(store.folder) == before
    check_finds_all(store)
