"""Cores are shared between processes that decode and the threads of PyTorch here.

Both take all cores if nobody says otherwise, and threads of OpenMP that wait for work burn a core
for a while, so that a run beside one other busy process was seven times as slow as on one thread.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# What OpenMP reads when PyTorch loads: threads sleep while they wait (GNU's, and LLVM's).
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
# An answer that came in this time was there before.
READY_SECONDS = 0.002
_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def wait_passively() -> None:
    """Have threads of PyTorch sleep while they wait; what a person set stays.

    It has no effect once PyTorch is loaded.
    """
    if "torch" not in sys.modules:
        for name, value in _PASSIVE.items():
            os.environ.setdefault(name, value)


def num_cores() -> int:
    """Cores that this process may use: its affinity, and its container's share (cgroup v2)."""
    found = os.cpu_count() or 1
    if sys.platform == "linux":
        found = len(os.sched_getaffinity(0))
    return max(1, min(found, _allowed()))


def sharing_cores(answers: Generator[T], *, threads: int | None = None) -> Generator[T]:
    """The answers of worker processes, while PyTorch in the caller's thread leaves them cores.

    An answer that had to be waited for: the processes are busy, and the caller has one core. One
    that was there: processes wait for the caller, which has as many as before; so it has when
    nothing is left to decode. `threads` is a number for all that. The number from before is given
    back at the end. PyTorch keeps it by thread: answers are to be used in the thread that asks.
    """
    import torch

    before = torch.get_num_threads()
    try:
        while True:
            begin = time.monotonic()
            try:
                answer = next(answers)
            except StopIteration:
                return
            is_ready = time.monotonic() - begin < READY_SECONDS
            torch.set_num_threads(threads or (before if is_ready else 1))
            yield answer
            del answer  # whatever comes next, it is not held any longer
    finally:
        torch.set_num_threads(before)
        answers.close()


def _allowed() -> int:
    """Whole cores that the container has a share of; many where nothing says so."""
    try:
        quota, period = _CGROUP.read_text("ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return sys.maxsize
