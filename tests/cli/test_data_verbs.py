"""`tempme data`: verify, prepare, scenes, each run as a shell runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from split_video import make_video
from tempme.datasets import load_folder

TEMPME = (str(Path(sys.executable).with_name("tempme")),)
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
ON_A_FULL_DISK = (sys.executable, "-c", f"{LIMIT}; import tempme.cli; tempme.cli.main()")


def tempme(*args: object, way: Sequence[str] = TEMPME) -> subprocess.CompletedProcess[str]:
    command = [*way, "data", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def msvd(folder: Path) -> Path:
    folder.mkdir()
    (folder / "test_list.txt").write_text("there_0_2\ngone_1_3")
    return folder


@pytest.mark.slow
def test_verify_answers_with_one_document(tmp_path: Path) -> None:
    make_video(tmp_path / "videos/there_0_2.avi", seconds=0.5)
    annotations = msvd(tmp_path / "msvd")
    done = tempme(
        *("verify", "msvd", "--annotations", annotations),
        *("--videos", tmp_path / "videos", "--json", "--workers", 1),
    )
    assert done.returncode == 0, done.stderr
    train, val, test = json.loads(done.stdout)["splits"]
    assert "train_list.txt is missing" in train["error"]
    assert "val_list.txt is missing" in val["error"]
    assert (test["listed"], test["usable"], test["missing"]) == (2, 1, ["gone_1_3"])
    assert "raw-captions.pkl is missing" in test["captions_missing"]


@pytest.mark.slow
def test_verify_a_captioned_folder(tmp_path: Path) -> None:
    make_video(tmp_path / "dog.mp4", seconds=0.5)
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "captions.csv").write_text("file,caption\ndog.mp4,a dog\nbad.mp4,a cat\n")
    done = tempme("verify", "folder", "--annotations", tmp_path, "--workers", 1)
    assert done.returncode == 0, done.stderr
    first, second, reason = done.stdout.splitlines()
    assert first.endswith("N = 1 of 2 videos can be used")
    assert second == "  1 undecodable"
    assert "bad.mp4: " in reason


@pytest.mark.slow
def test_verify_names_what_to_do(tmp_path: Path) -> None:
    done = tempme("verify", "msvdd", "--annotations", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no data set 'msvdd'; did you mean 'msvd'?")
    done = tempme("verify", "msvd", "--annotations", tmp_path)
    assert done.returncode == 1
    assert "train_list.txt is missing; --annotations is the folder" in done.stderr


@pytest.mark.slow
def test_prepare_says_what_it_made(tmp_path: Path) -> None:
    make_video(tmp_path / "in/dog.avi", seconds=0.5)
    (tmp_path / "in/bad.mp4").write_text("no video")
    done = tempme("prepare", tmp_path / "in", "--out", tmp_path / "out", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 video made, 0 were ready, 1 left out")
    assert "bad.mp4: " in done.stderr
    assert (tmp_path / "out/dog.mp4").exists()
    # As it was called before.
    again = tempme("prepare", tmp_path / "in", "--out", tmp_path / "out", "--json")
    assert json.loads(again.stdout)["ready"] == 1


@pytest.mark.slow
def test_the_command_writes_a_folder(tmp_path: Path) -> None:
    done = tempme("scenes", "--videos", 2, "--size", 32, "--out", tmp_path / "new")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 videos and 10 captions in ")
    assert len(load_folder(tmp_path / "new")) == 10
    again = tempme("scenes", "--count", 2, "--size", 32, "--out", tmp_path / "new")
    assert again.returncode == 1
    assert again.stderr.startswith("error: ")
    assert again.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    done = tempme("scenes", "--videos", 2, "--out", tmp_path / "new", way=ON_A_FULL_DISK)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write ")
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "new").iterdir())
