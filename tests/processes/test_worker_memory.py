"""The memory of a worker process is limited, and ends that come from outside are survived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tempme
from pool_tasks import Order, keep_and_tell, pieces
from tempme.processes.memory import resident_bytes
from tempme.processes.pool import Crash, Limits, Workers, each_in_processes, pieces_in_processes

TOO_LARGE = Crash(
    "needs more memory than a worker process may hold, 300 MB: raise worker_memory_mb to read it"
)

pytestmark = pytest.mark.skipif(resident_bytes() is None, reason="no amounts of memory here")


@pytest.mark.slow
def test_a_task_that_takes_all_memory_is_ended() -> None:
    orders = [Order("a"), Order("hog", what="hog", at=1), Order("b"), Order("hog", 1, "hog")]
    limits = Limits(worker_memory_mb=300)
    found = [
        (order.name, piece if isinstance(piece, Crash) else piece[1])
        for order, piece in pieces_in_processes(pieces, orders, workers=1, limits=limits)
    ]
    assert found == [
        *(("a", number) for number in range(3)),
        ("hog", 0),
        ("hog", TOO_LARGE),
        *(("b", number) for number in range(3)),
        ("hog", TOO_LARGE),
    ]


@pytest.mark.slow
def test_a_process_that_keeps_much_is_replaced() -> None:
    sizes = [1, 1, 400 * 2**20, 1, 1]
    with Workers(keep_and_tell, workers=1, limits=Limits(worker_memory_mb=600)) as crew:
        first, second, large, fourth, fifth = [crew.submit(size).result() for size in sizes]
    assert first == second == large
    assert fourth == fifth != large


@pytest.mark.slow
def test_leaks_of_others_are_not_blamed_on_an_item() -> None:
    """Each alone fits; three in one process do not."""
    sizes = [140 * 2**20, 141 * 2**20, 142 * 2**20]
    limits = Limits(worker_memory_mb=450)
    answers = dict(each_in_processes(keep_and_tell, sizes, workers=1, limits=limits))
    assert not any(isinstance(answer, Crash) for answer in answers.values())


@pytest.mark.slow
def test_no_limit_is_none() -> None:
    with Workers(keep_and_tell, workers=1, limits=Limits(worker_memory_mb=None)) as crew:
        assert crew.submit(500 * 2**20).result() == crew.submit(1).result()


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux tells it")
def test_the_system_is_offered_the_worker_first() -> None:
    with Workers(read, workers=1) as crew:
        assert int(crew.submit("/proc/self/oom_score_adj").result()) >= 500


def read(path: str) -> str:
    return Path(path).read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_in_the_midst(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    answers = pieces_in_processes(pieces, [Order("a", 6, "pause", 3, log)], workers=1)
    found = [next(answers)[1] for _ in range(3)]
    os.kill(int(log.read_text().split()[2]), number)
    found += [piece for _, piece in answers]
    assert [piece[1] for piece in found] == list(range(6))
    assert len({line.split()[-1] for line in log.read_text().splitlines()}) == 2


PARENT = """
import sys
from pathlib import Path
from pool_tasks import Order, pieces
from tempme.processes.pool import pieces_in_processes

log = Path(sys.argv[1])
for _ in pieces_in_processes(pieces, [Order("a", 2, "hang", 1, log)] * 2, workers=2):
    print("piece", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_a_killed_parent(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    search = [Path(pieces.__code__.co_filename).parent, Path(tempme.__file__).parents[1]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            assert parent.stdout.readline() == b"piece\n"
        parent.send_signal(number)
        assert parent.wait(30) == -number
    processes = {int(line.split()[-1]) for line in log.read_text().splitlines()}
    assert len(processes) == 2
    for _ in range(200):
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return
        time.sleep(0.05)
    pytest.fail("a worker outlived its parent")
