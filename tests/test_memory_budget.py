"""A ViT-B/32 is made ready, and searched with, in the memory that budget.toml allows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from index_material import write_video
from tempme.adapting.choosing import LEAST
from tempme.retriever.precision import has_bf16

BUDGET = tomllib.loads(
    (Path(__file__).parents[1] / "benchmarks" / "budget.toml").read_text("utf-8")
)["memory"]
MAKE = (
    "import sys; from tempme.retriever.retriever import Retriever as R; "
    "from tempme.systems.table import system; "
    "R.build(system('tempme', backbone='ViT-B/32'), None, seed=0).save(sys.argv[1])"
)
MAKE_PLAIN = (
    "import sys, torch; from pathlib import Path; from safetensors.torch import load_file; "
    "from tempme.exporting.openai import write_openai; "
    "from tempme.retriever.retriever import Retriever as R; "
    "from tempme.systems.table import system; place = Path(sys.argv[1]); place.mkdir(); "
    "write_openai(R.build(system('clip4clip', backbone='ViT-B/32'), None, seed=0).parts, place); "
    "state = load_file(place / 'model.safetensors'); "
    "torch.save({name: value.half() for name, value in state.items()}, place / 'ViT-B-32.pt')"
)
RUN = "from tempme.cli import main; main()"
# Told by the process itself: what wait4 says of a child is at least what this process has held.
TELL = """
import atexit, sys
def tell():
    import resource
    from tempme.processes.memory import peak_bytes
    of_workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    open(told, "w").write(str(max(peak_bytes(), of_workers)))
atexit.register(tell)
"""


def peak_mb(*words: str, code: str = RUN) -> float:
    """Megabytes of a fresh process, or of the largest of its own."""
    with tempfile.NamedTemporaryFile("r") as told:
        keep = f"{TELL}told = sys.argv.pop()\n{code}"
        subprocess.run(
            [sys.executable, "-c", keep, *words, told.name], stdout=subprocess.DEVNULL, check=True
        )
        return int(told.read()) / 2**20


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux tells it")


@LINUX
def test_a_process_tells_its_own_memory_whoever_started_it() -> None:
    """Linux counts what the one that starts it held, which other tests may have made large."""
    large = bytearray(256 << 20)
    large[::4096] = b"x" * len(large[::4096])
    del large
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert used.ru_maxrss > 256 << 10
    assert peak_mb(code="") < 100


@pytest.mark.slow
@LINUX
def test_an_index_with_a_vit_b_32_stays_within_its_memory(tmp_path: Path) -> None:
    films, index, model = tmp_path / "films", str(tmp_path / "index"), str(tmp_path / "b32")
    films.mkdir()
    write_video(films / "red.mp4", ["red", "blue"])
    peak_mb(model, code=MAKE)
    budget = BUDGET["bf16" if has_bf16("cpu") else "fp32"]
    run = ("index", str(films), "--index", index, "--workers", "1")
    assert peak_mb(*run, "--model", model) < budget["new_index_mb"]
    write_video(films / "green.mp4", ["green"])
    assert peak_mb(*run) < budget["index_mb"]
    assert peak_mb("search", "a red film", "--index", index) < budget["search_mb"]


@pytest.mark.slow
@LINUX
def test_so_does_one_of_plain_weights_whose_system_is_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    films, weights = tmp_path / "films", tmp_path / "b32"
    films.mkdir()
    for number in range(LEAST):
        write_video(films / f"{number}.mp4", ["red", "blue"] if number % 2 else ["green"])
    peak_mb(str(weights), code=MAKE_PLAIN)
    run = ("index", str(films), "--index", str(tmp_path / "index"), "--workers", "1")
    assert peak_mb(*run, "--model", str(weights / "ViT-B-32.pt")) < BUDGET["any"]["plain_index_mb"]
    assert "of the nearest phrases are the same" in capfd.readouterr().err
