"""A watched folder: what is new, changed, moved or gone is told once, and only when it is whole."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from index_material import new_index, write_video
from tempme.errors import BadSetting

pytest.importorskip("watchfiles", reason="needs the extra `serve`")

from tempme.index.watching import follow

SETTLE = 0.6


class Watcher:
    """Collects what `follow` tells."""

    def __init__(self, root: Path) -> None:
        self.stop = threading.Event()
        self.told: Queue[tuple[Path, ...]] = Queue()
        self._thread = threading.Thread(target=self._run, args=(root,), daemon=True)
        self._thread.start()
        assert self.next() == (root,)

    def next(self, seconds: float = 20.0) -> tuple[Path, ...]:
        return self.told.get(timeout=seconds)

    def close(self) -> None:
        self.stop.set()
        self._thread.join(10)

    def _run(self, root: Path) -> None:
        for paths in follow([root], stop=self.stop, settle_seconds=SETTLE):
            self.told.put(paths)


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[tuple[Watcher, Path]]:
    root = tmp_path / "films"
    (root / "old").mkdir(parents=True)
    (root / "old" / "a.mp4").write_bytes(b"a")
    made = Watcher(root)
    yield made, root
    made.close()


@pytest.mark.slow
def test_new_moved_and_removed_files_are_told(watcher: tuple[Watcher, Path]) -> None:
    watch, root = watcher
    (root / "new.mp4").write_bytes(b"new")
    assert watch.next() == (root / "new.mp4",)
    (root / "new.mp4").rename(root / "old" / "moved.mp4")
    told = {*watch.next()}
    while root not in told or not told & {root / "old", root / "old" / "moved.mp4", root}:
        told |= {*watch.next()}
    (root / "old" / "a.mp4").unlink()
    assert watch.next() == (root / "old",)


@pytest.mark.slow
def test_hidden_files_and_indexes_are_passed_over(watcher: tuple[Watcher, Path]) -> None:
    watch, root = watcher
    (root / ".hidden").mkdir()
    (root / ".hidden" / "a.mp4").write_bytes(b"a")
    (root / "a.tempme").mkdir()
    (root / "a.tempme" / "scan.npz").write_bytes(b"a")
    with pytest.raises(Empty):
        watch.next(3 * SETTLE)


@pytest.mark.slow
def test_a_file_that_is_being_written_waits(watcher: tuple[Watcher, Path]) -> None:
    watch, root = watcher
    end = time.monotonic() + 3 * SETTLE
    with (root / "slow.mp4").open("wb", buffering=0) as file:
        while time.monotonic() < end:
            file.write(b"x" * 100)
            time.sleep(SETTLE / 6)
            assert watch.told.empty()
    assert watch.next() == (root / "slow.mp4",)


def test_only_folders_are_watched(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    for path in (tmp_path / "a.mp4", tmp_path / "nowhere"):
        with pytest.raises(BadSetting, match="not a folder"):
            next(follow([path], stop=threading.Event()))


@pytest.mark.slow
def test_an_index_follows_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "films"
    root.mkdir()
    write_video(root / "red.mp4", ["red"])
    index, stop = new_index(tmp_path), threading.Event()

    def run() -> None:
        for paths in follow([root], stop=stop, settle_seconds=SETTLE):
            index.add([path for path in paths if path.exists()], prune=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def names_become(names: set[str]) -> None:
        end = time.monotonic() + 40
        while {video.path.name for video in index.videos()} != names:
            assert time.monotonic() < end, f"{index.videos()} instead of {names}"
            time.sleep(0.1)

    try:
        names_become({"red.mp4"})
        shutil.copy(write_video(tmp_path / "x.mp4", ["green"]), root / "green.mp4")
        names_become({"red.mp4", "green.mp4"})
        (root / "red.mp4").rename(root / "scarlet.mp4")
        names_become({"scarlet.mp4", "green.mp4"})
        (root / "green.mp4").unlink()
        names_become({"scarlet.mp4"})
    finally:
        stop.set()
        thread.join(20)
