"""A Ray cluster of two machines, both of them here: `ray start` twice, with a token."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from loopback import descendants, environment, free_port, is_alive, wait_for

PROGRAM = "from ray.scripts.scripts import main; main()"
STORE_BYTES = 200 * 2**20
START_SECONDS, END_SECONDS = 600.0, 120.0
ATTEMPTS = 4


@dataclass(frozen=True)
class RayMachines:
    """Ports of the head, what shows programs in, and the second machine."""

    client: str
    address: str
    metrics_port: int
    token: dict[str, str]
    second: subprocess.Popen[bytes]

    def lose_second(self) -> None:
        """All that runs on the second machine ends, without a word."""
        end_all(self.second)


def needs_metrics() -> None:
    """Ray alone records metrics; what exports them comes with its part `default`."""
    if importlib.util.find_spec("opencensus") is None:
        pytest.skip("Ray exports no metrics: pip install 'tempme[ray-metrics]'")


@contextmanager
def ray_machines(*, cpus: int = 2, has_second: bool = True) -> Iterator[RayMachines]:
    """A head, and a second machine, of so many cores each; all of it ends with the context."""
    folder = Path(tempfile.mkdtemp(prefix="rm-", dir="/tmp"))  # its sockets need short names
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_metrics_report_interval_ms": "500"}
    told = environment({**token, **quiet, "RAY_AUTH_MODE": "token"})
    started: list[subprocess.Popen[bytes]] = []
    try:
        port, client, metrics = _head(folder, cpus, told, started)
        if has_second:
            started.append(_start(["--address", f"127.0.0.1:{port}", *_own(cpus)], told))
            _wait_for_machines(2, f"127.0.0.1:{port}", told)
        where = (f"ray://127.0.0.1:{client}", f"127.0.0.1:{port}", metrics)
        yield RayMachines(*where, token, started[-1])
    finally:
        for process in reversed(started):
            end_all(process)
        shutil.rmtree(folder, ignore_errors=True)


def _head(
    folder: Path, cpus: int, told: dict[str, str], started: list[subprocess.Popen[bytes]]
) -> tuple[int, int, int]:
    """The ports of a head that runs: its own, that for clients, that for metrics."""
    for attempt in range(ATTEMPTS):
        port, client, metrics = free_port(), free_port(), free_port()
        head = ["--head", "--port", port, "--ray-client-server-port", client]
        head += ["--include-dashboard", "false", "--metrics-export-port", metrics]
        head += ["--temp-dir", folder / str(attempt)]
        started.append(_start([*head, *_own(cpus)], told))
        try:
            wait_for(started[-1], client)
        except SystemExit:  # Ray gives itself 30 seconds, which a busy machine may not have
            end_all(started.pop())
        else:
            return port, client, metrics
    raise SystemExit(f"Ray did not start in {ATTEMPTS} attempts")


def end_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, and wait until they are gone."""
    below = [process.pid, *descendants(process.pid)]
    for pid in below:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + END_SECONDS
    while any(map(is_alive, below)) and time.monotonic() < end:
        time.sleep(0.05)


def _wait_for_machines(number: int, address: str, told: dict[str, str]) -> None:
    """Until so many machines are in the cluster."""
    program = (
        "import ray, sys, time; ray.init(address=sys.argv[1], log_to_driver=False)\n"
        "while sum(one['Alive'] for one in ray.nodes()) < int(sys.argv[2]): time.sleep(0.2)"
    )
    words = [sys.executable, "-c", program, address, str(number)]
    subprocess.run(words, env=told, check=True, capture_output=True, timeout=START_SECONDS)


def _own(cpus: int) -> list[object]:
    """What every machine has to itself, though they are one."""
    listens = ["--dashboard-agent-listen-port", free_port()]
    resources = ["--num-cpus", cpus, "--num-gpus", 0, "--object-store-memory", STORE_BYTES]
    return [*listens, *resources, "--min-worker-port", 0, "--max-worker-port", 0, "--block"]


def _start(words: list[object], told: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "start", *map(str, words)],
        env=told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
