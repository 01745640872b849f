"""One writer at a time: of threads, of processes, and whatever is closed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index_material import ColourRetriever, new_index, write_films
from tempme.errors import BadIndex
from tempme.index import Counts, Index
from tempme.index.lock import writing

TRY = """
import sys
from pathlib import Path
from tempme.errors import BadIndex
from tempme.index.lock import writing
try:
    with writing(Path(sys.argv[1])):
        print("held")
except BadIndex:
    print("busy")
"""


def of_another_process(folder: Path) -> str:
    command = [sys.executable, "-c", TRY, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def busy_in_a_thread(folder: Path) -> bool:
    outcome: list[bool] = []

    def attempt() -> None:
        try:
            with writing(folder):
                outcome.append(False)
        except BadIndex:
            outcome.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return outcome[0]


@pytest.mark.slow
def test_threads_and_nested_holders_exclude_one_another(tmp_path: Path) -> None:
    with writing(tmp_path):
        assert busy_in_a_thread(tmp_path)
        with (
            pytest.raises(BadIndex, match=f"another run .*process {os.getpid()} "),
            writing(tmp_path),
        ):
            pass
        assert of_another_process(tmp_path) == "busy"  # the one that failed gave nothing away
    assert not busy_in_a_thread(tmp_path)
    assert of_another_process(tmp_path) == "held"


def test_the_lock_outlives_whoever_reads_it_meanwhile(tmp_path: Path) -> None:
    with writing(tmp_path):
        (tmp_path / "lock").read_bytes()
        with (tmp_path / "lock").open("rb+"):
            pass
        assert of_another_process(tmp_path) == "busy"


@pytest.mark.slow
def test_two_threads_that_add_leave_one_index(tmp_path: Path) -> None:
    films = write_films(tmp_path / "films")
    index = new_index(tmp_path)
    refused: list[BadIndex] = []

    def add() -> None:
        try:
            Index.open(index.path, retriever=ColourRetriever()).add(films, workers=1)
        except BadIndex as error:
            refused.append(error)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("another run is writing" in str(error) for error in refused)
    assert index.add(films, workers=1).videos == Counts(unchanged=3, failed=1)
    assert not index.check()
    assert index._store.num_moments() == 4


def test_a_lock_that_leads_elsewhere_overwrites_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "lock").symlink_to(mine)
    with pytest.raises(BadIndex, match="lock is a link"), writing(tmp_path):
        pass
    assert mine.read_text() == "mine"


def test_a_lock_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(BadIndex, match="lock is not an ordinary file"), writing(tmp_path):
        pass


def test_a_lock_of_an_index_that_was_made_anew_is_not_the_lock(tmp_path: Path) -> None:
    with writing(tmp_path):
        (tmp_path / "lock").unlink()
        with writing(tmp_path):
            assert of_another_process(tmp_path) == "busy"


@pytest.mark.parametrize(
    "name", ["scan.npz", "index.json", "videos.lance/data/x.lance", "model/weights.safetensors"]
)
def test_an_index_with_a_pipe_or_a_link_is_refused(tmp_path: Path, name: str) -> None:
    index = new_index(tmp_path)
    path = index.path / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(BadIndex, match=r"not an ordinary file|is a link, a pipe"):
        Index.open(index.path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(BadIndex, match="is a link"):
        Index.open(index.path)
