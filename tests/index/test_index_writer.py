"""Rows on their way into the store: in what order, how often, and whole when Ctrl-C is pressed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from tempme.index.building import writer as writing
from tempme.index.building.writer import Writer
from tempme.index.moments import Moments, Video
from tempme.index.stores.lance import LanceStore

WIDTH = 16


class Watched(LanceStore):
    """A store that tells what was asked of it; `disturb` is called in the middle of a write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder, features=WIDTH, index_from=10**9)
        self.asked: list[str] = []

    def disturb(self) -> None:
        """Nothing, where no test says so."""

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        self.disturb()
        super().put(videos, moments)
        self.asked.append(f"put {len(videos)} {len(moments)}")

    def forget(self, paths: Collection[Path]) -> None:
        self.disturb()
        super().forget(paths)
        self.asked.append(f"forget {len(paths)}")

    def tidy(self) -> None:
        self.asked.append("tidy")


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "films.tempme")


def fill(writer: Writer, name: str) -> Path:
    """One video and its moment."""
    feature = np.eye(1, WIDTH, dtype=np.float16)
    writer.add_moments(Moments(name, np.array([[0.0, 2.0]]), feature))
    video = Video(Path("/films") / name, name, 10, 20, num_moments=1)
    writer.add(video)
    return video.path


def names(store: LanceStore) -> list[str]:
    return [video.path.name for video in store.videos()]


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)  # in this thread, now: os.kill may reach another one


def test_ctrl_c_in_a_write_is_heard_once_it_is_whole(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(store)
    old = fill(writer, "old")
    writer.flush()
    fill(writer, "new")
    writer.forget(old)
    monkeypatch.setattr(store, "disturb", press_ctrl_c)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    assert names(store) == ["new"]  # the row came, and the old one went
    assert store.asked == ["put 1 1", "put 1 1", "forget 1"]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):  # between writes it is heard at once
        press_ctrl_c()


def test_without_ctrl_c_nothing_is_raised_and_the_handler_stays(store: Watched) -> None:
    before = signal.getsignal(signal.SIGINT)
    writer = Writer(store)
    fill(writer, "a")
    writer.flush()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_beside_the_main_one_writes_and_leaves_signals_alone(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(store)
    fill(writer, "a")
    seen: list[object] = []
    monkeypatch.setattr(store, "disturb", lambda: seen.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=writer.flush)
    thread.start()
    thread.join()
    assert names(store) == ["a"]
    assert seen == [before]


def test_a_failed_write_is_not_written_again(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    writer = Writer(store)
    fill(writer, "lost")
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as context:
        context.setattr(store, "disturb", fail)
        with pytest.raises(OSError, match="full"):
            writer.flush()
    assert signal.getsignal(signal.SIGINT) is before
    fill(writer, "next")
    writer.flush()
    assert names(store) == ["next"]


def test_what_must_not_be_written_stays_with_the_writer(store: Watched) -> None:
    def refuse() -> None:
        if len(refusals) < 1:
            refusals.append("the index is gone")
            raise OSError(refusals[0])

    refusals: list[str] = []
    writer = Writer(store, check=refuse)
    fill(writer, "a")
    with pytest.raises(OSError, match="gone"):
        writer.flush()
    assert store.asked == []
    writer.flush()
    assert names(store) == ["a"]


def test_the_last_word_about_a_path_counts(store: Watched) -> None:
    writer = Writer(store)
    path = fill(writer, "a")
    writer.forget(path)
    fill(writer, "a")  # came back
    writer.forget(fill(writer, "b"))  # came and went
    writer.flush()
    assert names(store) == ["a"]
    writer.flush()
    assert store.asked == ["put 1 3", "forget 1"]  # nothing to write is no write
    assert writer.num_writes == 2


def test_writes_keep_a_pause_that_grows_with_what_they_take(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(writing.time, "monotonic", lambda: now[0])
    writer = Writer(store)
    fill(writer, "a")
    now[0] += 0.9
    writer.flush_in_time()
    assert store.asked == []
    now[0] += 0.1
    monkeypatch.setattr(store, "disturb", lambda: now.__setitem__(0, now[0] + 0.5))
    writer.flush_in_time()
    assert store.asked == ["put 1 1"]
    fill(writer, "b")
    now[0] += 9.9  # half a second is a twentieth of ten
    writer.flush_in_time()
    assert store.asked == ["put 1 1"]
    now[0] += 0.1
    writer.flush_in_time()
    assert store.asked == ["put 1 1", "put 1 1"]


def test_many_writes_are_tidied(store: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WRITES_BEFORE_TIDYING", 2)
    writer = Writer(store)
    writer.flush()
    for name in "abcd":
        fill(writer, name)
        writer.flush()
    assert [asked for asked in store.asked if asked != "put 1 1"] == ["tidy", "tidy"]
    assert store.asked[2] == "tidy"
