from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write(3, folder / "scenes", part="static", size=64, fps=4)
    Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0).save(folder / "model")
    return folder


def tempme_eval(place: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tempme")), "eval", "model", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)


def test_eval_prints_the_log_lines_and_writes_json(place: Path) -> None:
    done = tempme_eval(
        place, "folder", "--annotations", "scenes", "--workers", "1", "--out", "out/report.json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads((place / "out/report.json").read_text())
    assert (answer["num_videos"], answer["is_complete"]) == (3, True)
    assert answer["scores"]["plain"]["v2t"]["num_queries"] == 3
    r1 = answer["scores"]["plain"]["t2v"]["r1"]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("scenes, tempme: ")
    assert "3 of 3 videos" in lines[0]
    assert lines[1] == "Text-to-Video:"
    assert lines[2].startswith(f"\t>>>  R@1: {r1:.1f} - R@5: ")


def test_eval_says_what_to_do(place: Path) -> None:
    done = tempme_eval(place, "msrvt", "--annotations", ".")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no data set 'msrvt'; did you mean 'msrvtt'?")
    done = tempme_eval(place, "folder", "--annotations", "scenes", "--ties", "none")
    assert done.returncode == 1
    assert "it is one of optimistic, pessimistic" in done.stderr


def test_what_cannot_be_written_has_been_printed(place: Path) -> None:
    (place / "file").write_text("no folder")
    done = tempme_eval(
        place, "folder", "--annotations", "scenes", "--workers", "1", "--out", "file/report.json"
    )
    assert done.returncode == 1
    assert "Text-to-Video:" in done.stdout
    assert done.stderr == "error: file/report.json: File exists; mend this, or give another path\n"
