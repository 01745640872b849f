"""`tempme serve` as a process: how it starts, fails and ends; what kill -9 leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from index_material import write_video
from serving_material import wait_for
from serving_processes import PROGRAM, answer, serving
from tempme.index import Index


@pytest.mark.slow
def test_a_killed_service_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for number in range(8):
        colours = ["red", "green", "blue", "yellow"][: 1 + number % 4]
        write_video(films / f"{number}.mp4", colours, seconds=2 + number)
    index = tmp_path / "a.tempme"
    Index.open(index, retriever="scenes-tiny", create=True)
    with serving(index, "--root", str(films)) as (process, address):
        job = answer(address, "/v1/index", {})
        at = f"/v1/jobs/{job['id']}"
        wait_for(lambda: (answer(address, at)["progress"] or {}).get("new", 0) >= 3, seconds=240)
        wait_for(lambda: Index.open(index).videos(), seconds=60)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    left = Index.open(index)
    kept = {video.path.name for video in left.videos()}
    report = left.add(films)
    assert report.videos.unchanged == len(kept) >= 1
    assert report.videos.indexed == 8 - len(kept)
    assert left.status().num_videos == 8


@pytest.mark.slow
def test_a_watched_folder_is_followed_by_the_command_line(tmp_path: Path) -> None:
    films, index = tmp_path / "films", tmp_path / "a.tempme"
    films.mkdir()
    Index.open(index, retriever="scenes-tiny", create=True)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "index", str(films), "-i", str(index), "--watch"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        write_video(tmp_path / "red.mp4", ["red"]).rename(films / "red.mp4")
        seen = Index.open(index)
        wait_for(lambda: [v.path.name for v in seen.videos()] == ["red.mp4"], seconds=120)
        (films / "red.mp4").unlink()
        wait_for(lambda: not seen.videos(), seconds=60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said.splitlines()[-1].startswith("stopped; what was finished is kept")
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_service_starts_answers_and_ends(tmp_path: Path) -> None:
    index = tmp_path / "a.tempme"
    Index.open(index, retriever="scenes-tiny", create=True)
    with serving(index) as (process, address):
        assert answer(address, "/v1/status")["num_videos"] == 0
        taken = subprocess.run(
            [
                sys.executable,
                "-c",
                PROGRAM,
                "serve",
                "-i",
                str(index),
                "--port",
                address[-5:].lstrip(":"),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert taken.returncode == 1
        assert taken.stderr.splitlines()[-1].startswith("error: cannot listen at 127.0.0.1, port")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "set a token"),
        (("--root", "/nowhere/at/all"), "no such folder: /nowhere/at/all"),
        (("--token-file", "/nowhere/at/all"), "cannot read the token"),
    ],
)
def test_a_service_that_cannot_start_says_why(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    Index.open(tmp_path / "a.tempme", retriever="scenes-tiny", create=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "serve", "--index", str(tmp_path / "a.tempme"), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TEMPME_TOKEN": ""},
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
