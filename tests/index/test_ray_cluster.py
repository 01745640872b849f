"""A run on a cluster that is there already, of two machines, one of which may go."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from far_servers import needs_ray
from index_material import write_video
from loopback import environment
from ray_machines import needs_metrics, ray_machines
from tempme.index.shards.opening import open_shards

PATIENCE_SECONDS = 900.0
FILMS = 24

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]


def start(*words: object, told: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(told),
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out + err
    return out + err


def until(is_so: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        assert process.poll() is None, finish(process)
        time.sleep(0.1)


def num_shards(folder: Path) -> int:
    return sum(not path.name.startswith(".") for path in folder.rglob("units/*/*.parquet"))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    needs_ray()
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(FILMS):
        colours = [["red", "green", "blue", "yellow"][number // 4**place % 4] for place in range(3)]
        write_video(folder / f"{number:02d}.mp4", colours)
    return folder


def test_a_run_outlives_a_machine_of_its_cluster(films: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    words = ("index", films, "--shards", shards, "--model", "scenes-tiny", "--on")
    with ray_machines() as there:
        process = start(*words, there.client, told=there.token)
        until(lambda: num_shards(shards) > 0, process)
        there.lose_second()
        assert process.poll() is None
        assert f"{FILMS} indexed" in finish(process)
        whole = open_shards(shards)
        digests = whole.digests()
        assert len(digests) == FILMS
        assert all(map(whole.is_done, digests))
        assert whole.place.files("pieces") == []
        assert f"{FILMS} unchanged" in finish(start(*words, there.client, told=there.token))


def test_a_cluster_exports_the_metrics_of_a_run(films: Path, tmp_path: Path) -> None:
    needs_metrics()
    words = ("index", films, "--shards", tmp_path / "shards", "--model", "scenes-tiny")
    with ray_machines(has_second=False) as there:
        told = {**there.token, "RAY_ADDRESS": there.address}
        process = start(*words, "--on", "ray", told=told)

        def exported() -> str:
            at = f"http://127.0.0.1:{there.metrics_port}/metrics"
            with urllib.request.urlopen(at, timeout=60) as answer:
                return str(answer.read().decode())

        def has(name: str) -> bool:
            lines = exported().splitlines()
            return any(line.startswith(name) and "tempme" in line for line in lines)

        until(lambda: has("ray_tempme_run_files_left"), process)
        lines = [one for one in exported().splitlines() if "ray_tempme_run_files_left{" in one]
        assert len(lines) == 1
        assert 0 <= float(lines[0].rpartition(" ")[2]) <= FILMS
        assert f"{FILMS} indexed" in finish(process)
