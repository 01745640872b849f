from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from drawn_videos import draw, number_of
from faulty_reading import faulty_pieces
from my_workers import my_workers
from tempme.errors import BadSetting
from tempme.video import (
    Failure,
    Reading,
    VideoWindows,
    decode_many,
    iter_windows,
    load,
    load_windows,
    loading,
    workers,
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [draw(folder / f"{i}.mp4", frames=30 + 60 * i) for i in range(5)]


@pytest.mark.slow
def test_the_same_as_in_one_process(clips: list[Path]) -> None:
    found = dict(decode_many(clips, Reading(size=64), workers=2))
    assert set(found) == set(clips)
    for path in clips:
        alone, among = load_windows(path, Reading(size=64)), found[path]
        assert isinstance(alone, VideoWindows)
        assert isinstance(among, VideoWindows)
        np.testing.assert_array_equal(alone.pixels, among.pixels)
        np.testing.assert_array_equal(alone.windows, among.windows)
        assert alone.info == among.info


@pytest.mark.slow
def test_long_videos_come_in_pieces(clips: list[Path]) -> None:
    pieces = [a for _, a in decode_many(clips[-1:], Reading(size=64, piece_windows=1), workers=2)]
    assert len(pieces) > 2
    assert [p.is_last for p in pieces if isinstance(p, VideoWindows)][-1]
    assert all(len(p.pixels) <= 12 for p in pieces if isinstance(p, VideoWindows))
    assert number_of(pieces[0].pixels[0]) <= 5


@pytest.mark.slow
def test_a_worker_that_dies_or_hangs_costs_one_file(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "read_pieces", faulty_pieces)
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.5)
    bad = {
        "crash": "crashed the process that read it (SIGSEGV)",
        "exit": "crashed the process that read it (exit status 3)",
        "hang": "timeout: its process hung for 2.5 s",
        "bug": "cannot be decoded: RuntimeError: a bug",
    }
    faulty = [tmp_path / f"{name}.mp4" for name in bad]
    slow = draw(tmp_path / "slow.mp4", frames=3)
    paths = [slow, clips[0], *faulty, *clips[1:]]
    found = dict(decode_many(paths, Reading(size=64, timeout_seconds=2.5), workers=2))
    assert set(found) == set(paths)
    # Four seconds without an answer are longer than the limit, but it got on all the while.
    assert isinstance(found[slow], VideoWindows)
    assert all(isinstance(found[path], VideoWindows) for path in clips)
    assert [found[p] for p in faulty] == [Failure(p, bad[p.stem]) for p in faulty]


@pytest.mark.slow
def test_ends_from_outside_are_not_blamed_on_files(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "read_pieces", faulty_pieces)
    killed, hog, victim = (draw(tmp_path / f"{name}.mp4") for name in ("killed", "hog", "victim"))
    paths = [killed, clips[0], victim, hog, clips[1]]
    found = dict(decode_many(paths, Reading(size=64), workers=2, worker_memory_mb=300))
    assert all(isinstance(found[path], VideoWindows) for path in (clips[0], victim, clips[1]))
    assert found[killed] == Failure(
        killed,
        "its process was ended from outside (SIGKILL), which a system does when memory runs out; "
        "tried alone, it was ended again",
        is_transient=True,
    )
    assert found[hog] == Failure(
        hog,
        "needs more memory than a worker process may hold, 300 MB: "
        "raise worker_memory_mb to read it",
    )


@pytest.mark.parametrize(
    ("error", "is_transient"),
    [
        (OSError(5, "Input/output error"), True),
        (MemoryError(), True),
        (av.error.MemoryError(12, "Cannot allocate memory"), False),
        (av.error.InvalidDataError(1, "Invalid data"), False),
    ],
)
def test_errors_of_the_machine_are_told_from_those_of_files(
    clips: list[Path], monkeypatch: pytest.MonkeyPatch, error: Exception, is_transient: bool
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(loading, "read_timeline", refuse)
    for found in (load(clips[0]), *iter_windows(clips[0])):
        assert isinstance(found, Failure)
        assert found.is_transient == is_transient


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux lists processes so")
def test_stopping_early_ends_the_workers(clips: list[Path]) -> None:
    before = my_workers()
    answers = decode_many(clips * 20, Reading(size=64), workers=2)
    next(answers)
    processes = my_workers() - before
    assert len(processes) == 2
    answers.close()
    assert not any(process.exists() for process in processes)


def test_paths_are_taken_as_workers_become_free(clips: list[Path]) -> None:
    taken = []

    def endless():
        while True:
            taken.append(clips[0])
            yield clips[0]

    answers = decode_many(endless(), Reading(size=64), workers=1)
    for _ in range(3):
        next(answers)
    assert len(taken) <= 3 + 3
    answers.close()


@pytest.mark.slow
def test_errors_of_the_paths_reach_the_caller(clips: list[Path]) -> None:
    def failing():
        yield clips[0]
        raise LookupError("no more")

    answers = decode_many(failing(), Reading(size=64), workers=2)
    assert next(answers)[0] == clips[0]
    with pytest.raises(LookupError, match="no more"):
        next(answers)


def test_workers_import_no_torch() -> None:
    names = "tempme.processes.program, tempme.video.workers, tempme.datasets.frames"
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampling": "all"},
        {"overlap": 1},
        {"overlap": float("nan")},
        {"frames": 0},
        {"frames": 1.5},
        {"size": -1},
        {"piece_windows": 0},
        {"threads": 0},
        {"every_seconds": 0.0},
        {"every_seconds": float("inf")},
        {"timeout_seconds": 0},
        {"total_seconds": float("nan")},
        {"total_seconds": "an hour"},
    ],
)
def test_a_reading_is_checked_when_it_is_made(wrong: dict) -> None:
    (name,) = wrong
    with pytest.raises(BadSetting, match=f"^{name} is .*; it is|^{name} is .*; it must be"):
        Reading(**wrong)


@pytest.mark.slow
def test_a_reading_may_have_no_limit_of_time(clips: list[Path]) -> None:
    forever = Reading(size=64, timeout_seconds=float("inf"), total_seconds=float("inf"))
    ((_, found),) = decode_many(clips[:1], forever, workers=1)
    assert isinstance(found, VideoWindows)


def test_workers_are_counted_before_any_work() -> None:
    with pytest.raises(BadSetting, match="workers is 0"):
        decode_many([], workers=0)
