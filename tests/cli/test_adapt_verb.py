"""`tempme adapt`: what it prints for a person and for a program, and what a killed one leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapting_material import dense_folder, films
from terminals import Terminal

SCRIPT = Path(__file__).parents[1] / "material" / "adapting_material.py"
FEW = (
    *("--budget", "0.6", "--windows", "24", "--steps", "2", "--batch", "4"),
    *("--every-seconds", "0.5", "--sampling", "exact"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense_folder(tmp_path_factory.mktemp("dense") / "model")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = films(tmp_path_factory.mktemp("films"))
    (folder / "broken.mp4").write_bytes(b"no video" * 500)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd, "adapt")


@pytest.mark.slow
def test_figures_for_a_person_and_one_document_for_a_program(
    run: Terminal, model: Path, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made"
    done = run(videos, "--model", model, "--out", out, *FEW)
    assert done.code == 0, done.err
    first, speed, *agreed, last = done.out.splitlines()
    agreed = agreed[:2]  # a line more where nothing that was learnt helped
    assert first.startswith("earlytom: ")
    assert "% of" in first
    assert "windows/s alone" in speed
    assert [line.partition(":")[0] for line in agreed] == ["untrained", "adapted"]
    assert (
        "of its 10 nearest phrases (3 windows held out)" in agreed[1]
    )  # one is lost to broken.mp4
    assert last.startswith(f"retriever: {out} (2 steps")
    assert "failed: " in done.err
    assert "broken.mp4: not a video" in done.err
    again = run(videos, "--model", model, "--out", out, *FEW, "--json")
    assert again.document["videos"]["read"] == 6
    assert again.document == json.loads((out / "adapted.json").read_text("utf-8"))
    assert run("--model", model, "--out", out, *FEW, "--budget", "0.5", videos).refusal.startswith(
        f"{out} holds another run (budget is 0.6 there, 0.5 here)"
    )


@pytest.mark.slow
def test_what_is_wrong_is_one_line(
    run: Terminal, model: Path, videos: Path, tmp_path: Path
) -> None:
    out, of = tmp_path / "made", ("--out", tmp_path / "made")
    assert "no such file or folder" in run(tmp_path / "gone", "--model", model, *of).refusal
    assert "no model 'nothing'" in run(videos, "--model", "nothing", *of).refusal
    assert (
        "did you mean 'tempme'" in run(videos, "--model", model, *of, "--system", "tempm").refusal
    )
    assert "steps" in run(videos, "--model", model, *of, "--steps", "0").err
    (tmp_path / "none").mkdir()
    assert "no video was found there" in run(tmp_path / "none", "--model", model, *of).refusal
    broken = videos / "broken.mp4"
    assert "no video could be read" in run(broken, "--model", model, *of).refusal
    assert "to learn from" in run(videos / "film-0.mp4", "--model", model, *of).refusal
    assert not (out / "system.toml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_ends_as_one_that_was_not(
    model: Path, videos: Path, tmp_path: Path, how: signal.Signals
) -> None:
    def started(out: Path) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(SCRIPT), str(videos), str(model), str(out), "60"]
        here = os.pathsep.join([str(SCRIPT.parent), *sys.path])
        return subprocess.Popen(
            words, env={**os.environ, "PYTHONPATH": here}, stderr=subprocess.DEVNULL
        )

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert started(whole).wait(timeout=500) == 0
    run = started(cut)
    while not (cut / "run" / "last.ckpt").exists():  # ends with the process, whatever happens
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(how)
    assert run.wait(timeout=100) != 0
    assert not (cut / "system.toml").exists()
    assert started(cut).wait(timeout=500) == 0
    for name in ("weights.safetensors", "system.toml"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    told = [json.loads((out / "adapted.json").read_text("utf-8")) for out in (whole, cut)]
    assert told[0]["history"] == told[1]["history"]
    assert told[0]["agreement"] == told[1]["agreement"]
