"""Who has which cores: decoders first, PyTorch what they leave, and all back at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from tempme.processes import cores
from tempme.processes.cores import READY_SECONDS, num_cores, sharing_cores


class Decoders:
    """Answers that come after so many seconds each, by a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
        self.now, self.seconds, self.is_closed = 0.0, seconds, False
        monkeypatch.setattr(cores.time, "monotonic", lambda: self.now)

    def answers(self) -> Generator[float]:
        try:
            for seconds in self.seconds:
                self.now += seconds
                yield seconds
        finally:
            self.is_closed = True


@pytest.mark.usefixtures("three_threads")
def test_a_caller_that_waits_has_one_core_and_one_that_is_waited_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoders = Decoders(monkeypatch, [1.0, 0.0, 0.0, 1.1 * READY_SECONDS, 0.9 * READY_SECONDS])
    told = [torch.get_num_threads() for _ in sharing_cores(decoders.answers())]
    assert told == [1, 3, 3, 1, 3]
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_a_person_may_say_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = Decoders(monkeypatch, [1.0, 0.0])
    told = [torch.get_num_threads() for _ in sharing_cores(decoders.answers(), threads=2)]
    assert told == [2, 2]
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_whatever_ends_a_run_gives_back_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = Decoders(monkeypatch, [1.0, 1.0])
    answers = sharing_cores(decoders.answers())
    next(answers)
    assert torch.get_num_threads() == 1
    answers.close()
    assert decoders.is_closed
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("quota", "most"),
    [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 10**6), ("", 10**6)],
)
def test_a_container_may_have_fewer_cores(
    quota: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "_CGROUP", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert num_cores() == min(16, most)


@pytest.mark.parametrize("given", ["", "ACTIVE"])
def test_threads_sleep_while_they_wait_unless_a_person_says_otherwise(given: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY",)}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    code = "import tempme, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [given or "PASSIVE", "False"]
