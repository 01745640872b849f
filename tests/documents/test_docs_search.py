"""Every command of docs/search-your-videos.md works, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tempme
from index_material import write_video
from terminals import Ended, Terminal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "search-your-videos.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (tempme .*)$", GUIDE, flags=re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
# What the guide leaves out, for it knows of no smaller model: there is no network in a test.
HERE = "scenes-tiny"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    videos = tmp_path / "Videos"
    for folder in ("holiday", "private", "old-disk", "raw"):
        (videos / folder).mkdir(parents=True)
    write_video(videos / "garden.mp4", ["green", "yellow"])
    write_video(videos / "holiday" / "beach.mp4", ["blue", "white"], seconds=15)
    write_video(videos / "private" / "diary.mp4", ["red"])
    write_video(videos / "old-disk" / "old.mp4", ["black"])
    write_video(videos / "raw" / "raw.mp4", ["white"])
    (videos / "broken.mp4").write_bytes(b"\0" * 5000)
    Image.new("RGB", (90, 60), (220, 30, 30)).save(videos / "cover.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempme.index.model.DEFAULT_MODEL", HERE)
    return tmp_path


def shell_words(command: str) -> list[str]:
    """The words after `tempme`, as a shell hands them over."""
    return [os.path.expanduser(word) for word in shlex.split(command)[1:]]  # noqa: PTH111


def test_the_guide_works_as_it_stands(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Terminal(monkeypatch, capfd)
    ended: dict[str, Ended] = {}
    for command in COMMANDS:
        if "old-disk" in command:
            shutil.rmtree(home / "Videos" / "old-disk")
        done = ended[command] = run(*shell_words(command))
        assert done.code == 0, f"{command}: {done.err}"
        assert done.out, command
    first = "tempme index ~/Videos --index ~/videos.tempme"
    assert "5 unchanged, 1 failed" in ended[first].out  # the second time
    excluded = next(done for command, done in ended.items() if "--exclude" in command)
    assert "1 excluded" in excluded.err
    assert "1 video forgotten" in next(d for c, d in ended.items() if "forget" in c).out
    assert "1 removed" in next(d for c, d in ended.items() if "--force" in c).out
    assert len(pq.read_table(home / "features.parquet")) >= 4
    assert (
        np.load(home / "holiday.npy").shape[1]
        == pq.read_table(home / "features.parquet")["feature"].type.list_size
    )
    for code in PYTHON:
        exec(compile(code, "docs/search-your-videos.md", "exec"), {"tempme": tempme})
    out, _ = capfd.readouterr()
    assert len(out.splitlines()) == 4  # three hits and the broken file


def test_every_verb_and_option_of_the_guide_is_in_it_for_a_reason() -> None:
    """The guide covers what the verbs of an index offer a person."""
    assert {shell_words(command)[0] for command in COMMANDS} == {
        *("index", "search", "similar", "status", "forget", "features")
    }
    options = ("--exclude", "--pictures", "--prune", "--force", "--moments", "--under", "--notes")
    assert all(option in " ".join(COMMANDS) for option in options)


def test_readme_points_to_the_guide() -> None:
    assert "docs/search-your-videos.md" in (ROOT / "README.md").read_text("utf-8")
