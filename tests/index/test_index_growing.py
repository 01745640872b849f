"""An index that grows: what a run writes and reads follows what is new, not what is there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_files import MATERIAL
from lists_material import moments_of, put, store_in, video_of
from tempme.index.lists.opened import CATALOG
from tempme.index.lists.upkeep import MOST_PARTS
from tempme.index.moments import Moments, Video
from tempme.index.stores.compacting import MOST_FRAGMENTS
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.row_copy import LOG, NAME, kept_rows, read_rows
from tempme.index.stores.segments import to_join
from tempme.index.stores.tables import Tables

NEVER = 10**9
WIDE, PER_VIDEO = 256, 20
# Of a growth by a hundredth: what may be written, and the rows read for each new one.
BYTES_WRITTEN, TIMES_READ = 0.05, 2


class CountingTables(Tables):
    """Counts the rows of moments that are read."""

    num_read = 0

    def rows(self, name: str, column: str = "", only: Collection[str] | None = None) -> Any:
        found = super().rows(name, column, only)
        self.num_read += len(found) if name == "moments" else 0
        return found

    def stream(self, name: str, *, rows: int) -> Iterator[Any]:
        for piece in super().stream(name, rows=rows):
            self.num_read += len(piece)
            yield piece

    def column(self, name: str, column: str) -> Any:
        found = super().column(name, column)
        self.num_read += len(found) if name == "moments" else 0
        return found


def wide_videos(numbers: Sequence[int]) -> tuple[list[Video], list[Moments]]:
    rows, contents = [], []
    for number in numbers:
        random = np.random.default_rng(number)
        features = random.standard_normal(WIDE) + random.standard_normal((PER_VIDEO, WIDE))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        starts = 2.0 * np.arange(PER_VIDEO)
        spans = np.stack([starts, starts + 3], axis=1)
        contents.append(Moments(f"{number:032x}", spans, features.astype(np.float16)))
        rows.append(video_of(number, contents[-1]))
    return rows, contents


def state(folder: Path) -> dict[Path, tuple[int, int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {path: path.stat() for path in files}
    return {path: (one.st_ino, one.st_mtime_ns, one.st_size) for path, one in found.items()}


def test_a_hundredth_more_is_written_and_read_at_its_own_cost(tmp_path: Path) -> None:
    folder = tmp_path / "a.tempme"
    folder.mkdir()
    tables = CountingTables(folder, features=WIDE)
    store = LanceStore(folder, features=WIDE, index_from=1000, tables=tables)
    store.put(*wide_videos(range(200)))
    store.tidy()
    store.videos()
    before, tables.num_read = state(folder), 0
    store.put(*wide_videos(range(200, 202)))
    assert store.sweep() == 0
    store.tidy()
    after = state(folder)
    written = sum(about[2] for path, about in after.items() if before.get(path) != about)
    assert written < BYTES_WRITTEN * sum(size for *_, size in before.values())
    assert 0 < tables.num_read <= TIMES_READ * 2 * PER_VIDEO
    # Large files stay as they are; what is written again names them.
    kept = {path for path, about in before.items() if after.get(path) == about}
    large = {path for path, (_, _, size) in before.items() if size > 50_000}
    assert large - kept <= {folder / "lists" / CATALOG}
    assert store.videos() == store_in(folder).videos()


@pytest.mark.parametrize("most", [MOST_PARTS, MOST_FRAGMENTS])
def test_rows_are_written_again_few_times_while_an_index_doubles(most: int) -> None:
    pieces, written = [100], 0
    for _ in range(100):
        pieces.append(1)
        due = to_join(pieces, most=most)
        total = sum(pieces[place] for place in due)
        pieces = [size for place, size in enumerate(pieces) if place not in due]
        pieces += [total] if due else []
        written += 1 + total
        assert len(pieces) <= most
    assert sum(pieces) == 200
    assert written < 4 * 100


def test_few_pieces_stay_as_they_are() -> None:
    assert to_join([], most=8) == []
    assert to_join([3, 1, 2], most=3) == []
    assert to_join([100, 1, 2, 50], most=3) == [1, 2]
    assert to_join([5, 5, 5, 5], most=3) == [0, 1, 2, 3]


@pytest.mark.slow
def test_many_runs_leave_few_files_and_all_rows(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    for step in range(18):
        put(store, range(5 * step, 5 * step + 5))
        store.tidy()
        for name in ("videos", "moments"):
            table = store._tables.open(name)
            count = table.stats()["fragment_stats"]["num_fragments"]
            files = list((store.folder / f"{name}.lance" / "data").iterdir())
            assert len(files) == count <= MOST_FRAGMENTS
            assert len(list((store.folder / f"{name}.lance").glob("_versions/*.manifest"))) == 1
    check_is_as_put(store, range(90))


def check_is_as_put(store: LanceStore, numbers: Sequence[int]) -> None:
    fresh = store_in(store.folder, index_from=NEVER)
    (store.folder / "scan.npz").unlink(missing_ok=True)
    assert store.videos() == fresh.videos()
    assert not fresh.check()
    gallery = fresh.gallery()
    assert gallery.contents == tuple(f"{number:032x}" for number in numbers)
    for place, number in enumerate(numbers):
        assert gallery.content(place).checksum == moments_of(number).checksum


def test_the_room_of_rows_that_are_gone_is_given_back(tmp_path: Path) -> None:
    """From the front, the end and the middle of a fragment, and all of one."""
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    for start in (0, 100, 120, 130):
        put(store, range(start, 100 if start == 0 else start + 10))
    store.tidy()
    left = [*range(100), *range(100, 110), *range(120, 140)]
    for gone in (range(60, 100), range(20), range(100, 110), range(30, 40)):
        left = [number for number in left if number not in gone]
        store.forget([video_of(n, moments_of(n), copy=c).path for n in gone for c in (0, 1)])
        assert store.sweep() == len(gone)
        store.tidy()
        table = store._tables.open("moments")
        there = table.stats()["fragment_stats"]
        assert table.count_rows() == sum(len(moments_of(n).spans) for n in left)
        assert there["lengths"]["mean"] * there["num_fragments"] <= 1.12 * table.count_rows()
        check_is_as_put(store, left)


@pytest.mark.slow
def test_a_reader_goes_on_while_what_it_reads_is_joined(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    reader = store_in(store.folder, index_from=NEVER)
    for step in range(MOST_FRAGMENTS + 2):
        put(store, range(5 * step, 5 * step + 5))
        open_before = reader._tables.open("moments")
        assert len(reader.videos()) == len(store.videos())
        store.tidy()
        assert open_before.count_rows() > 0
        assert len(reader.gallery().contents) == 5 * step + 5


def test_a_copy_of_the_rows_grows_by_lines(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(100))
    store.tidy()
    whole = state(store.folder)[store.folder / NAME]
    put(store, [200])
    store.forget([video_of(7, moments_of(7)).path])
    store.sweep()
    store.tidy()
    other = store_in(store.folder, index_from=NEVER)  # another run, which reads what there is
    assert len(other.videos()) == len(store.videos())
    other.put([video_of(7, moments_of(7), copy=3)], [moments_of(7)])
    other.tidy()
    assert len((store.folder / LOG).read_bytes().splitlines()) == 2
    assert state(store.folder)[store.folder / NAME] == whole
    assert read_rows(store.folder, version=other.version()) == other.videos()
    put(other, range(300, 340))
    other.tidy()
    put(other, [340])
    other.tidy()  # the log is long by now
    assert not (store.folder / LOG).exists()
    assert read_rows(store.folder, version=other.version()) == other.videos()


def test_what_a_run_did_not_see_being_written_is_in_the_copy(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(20))
    store.tidy()
    put(store_in(store.folder, index_from=NEVER), [20])  # a run that was killed before it tidied
    put(store, [21])
    store.tidy()
    assert read_rows(store.folder, version=store.version()) == store.videos()
    assert len(store.gallery().contents) == 22


@pytest.mark.parametrize("cut", [1, 9, 30, -1, None])
def test_a_line_that_is_damaged_leads_nowhere_and_is_mended(
    tmp_path: Path, cut: int | None
) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(50))
    store.tidy()
    first = (store.version(), store.videos())
    put(store, [50])
    store.tidy()
    log = store.folder / LOG
    content = bytearray(log.read_bytes())
    if cut is None:
        content[len(content) // 2] ^= 4
        log.write_bytes(content)
    else:
        log.write_bytes(content[:cut])
    assert kept_rows(store.folder) == first or cut == -1
    assert read_rows(store.folder, version=store.version()) in (None, store.videos())
    later = store_in(store.folder, index_from=NEVER)
    put(later, [51])
    later.tidy()
    assert read_rows(store.folder, version=later.version()) == store_in(store.folder).videos()


def test_a_copy_of_before_is_read_and_written_anew(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(50))
    store.tidy()
    with np.load(store.folder / NAME) as arrays:
        rows = arrays["rows"]
    with (store.folder / NAME).open("wb") as file:
        np.savez(file, rows=rows)  # as earlier versions wrote it
    assert read_rows(store.folder, version=store.version()) == store.videos()
    put(store, [50])
    store.tidy()
    assert not (store.folder / LOG).exists()
    assert read_rows(store.folder, version=store.version()) == store.videos()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:3]
from lists_material import put, store_in
store = store_in(Path(sys.argv[1]), index_from=10**9)
left = int(sys.argv[3])
put(store, range(1000 + 10 * left, 1005 + 10 * left))
def watch(event, args):
    global left
    name = str(args[0]) if args else ""
    if event in ("open", "os.rename", "os.remove") and (".lance/" in name or "/rows." in name):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
store.tidy()
"""


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_tidies_loses_nothing(tmp_path: Path) -> None:
    """Killed at one after the other of the files that it opens, renames or removes."""
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    for number in range(2 * MOST_FRAGMENTS):
        put(store, [number])
    numbers = list(range(2 * MOST_FRAGMENTS))
    for step in (1, 4, 12, 24):
        command = [sys.executable, "-c", KILLED, str(store.folder), str(MATERIAL), str(step)]
        killed = subprocess.run(command, timeout=300, check=False).returncode
        assert killed == -signal.SIGKILL
        numbers += range(1000 + 10 * step, 1005 + 10 * step)
        check_is_as_put(store_in(store.folder, index_from=NEVER), numbers)
    survivor = store_in(store.folder, index_from=NEVER)
    survivor.tidy()
    assert len(list((store.folder / "moments.lance" / "_versions").glob("*.manifest"))) == 1
    assert read_rows(store.folder, version=survivor.version()) == survivor.videos()
    check_is_as_put(survivor, numbers)
