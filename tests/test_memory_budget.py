"""A ViT-B/32 is made ready, and searched with, in the memory that budget.toml allows."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from index_material import write_video

BUDGET = tomllib.loads(
    (Path(__file__).parents[1] / "benchmarks" / "budget.toml").read_text("utf-8")
)["memory"]
MAKE = (
    "import sys; from tempme.retriever.retriever import Retriever as R; "
    "from tempme.systems.table import system; "
    "R.build(system('tempme', backbone='ViT-B/32'), None, seed=0).save(sys.argv[1])"
)
RUN = "from tempme.cli import main; main()"


def peak_mb(*words: str, code: str = RUN) -> float:
    """Megabytes of a fresh process, or of the largest of its own."""
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units")
def test_an_index_with_a_vit_b_32_stays_within_its_memory(tmp_path: Path) -> None:
    films, index, model = tmp_path / "films", str(tmp_path / "index"), str(tmp_path / "b32")
    films.mkdir()
    write_video(films / "red.mp4", ["red", "blue"])
    peak_mb(model, code=MAKE)
    run = ("index", str(films), "--index", index, "--workers", "1")
    assert peak_mb(*run, "--model", model) < BUDGET["new_index_mb"]
    write_video(films / "green.mp4", ["green"])
    assert peak_mb(*run) < BUDGET["index_mb"]
    assert peak_mb("search", "a red film", "--index", index) < BUDGET["search_mb"]
