"""Two processes train as one does on the same global batch, and go on after a cut."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tempme.errors import BadSetting
from tempme.training import CHECKPOINT, Devices, Recipe, fit
from training_material import Drawn, retriever

SCRIPT = Path(__file__).parents[1] / "material" / "training_material.py"


def train(folder: Path, devices: int, *more: str, name: str = "tempme", until: int = 100) -> Any:
    """What a run in processes of its own ends with; None where it was cut off."""
    command = [sys.executable, str(SCRIPT), name, str(folder), str(devices), str(until), *more]
    clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "NODE_RANK")}
    answer = subprocess.run(
        command, env=clean | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if "CutOff" in answer.stderr:
        return None
    assert answer.returncode == 0, answer.stderr[-2000:]
    return torch.load(folder / "end.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("clip4clip", ()),
        ("tempme", ("others",)),  # captions of one video are not negatives, across processes too
        ("tempme", ("pieces", "layers")),
        ("dgl", ()),  # some of its parameters never get a gradient
    ],
)
def test_loss_and_gradients_are_those_of_one_process(
    tmp_path: Path, name: str, more: tuple[str, ...]
) -> None:
    one = train(tmp_path / "one", 1, "once", *more, name=name)
    two = train(tmp_path / "two", 2, "once", *more, name=name)
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-6)
    assert one["gradients"].keys() >= two["gradients"].keys()  # zeros of dead ones may be absent
    for key, gradient in one["gradients"].items():
        other = two["gradients"].get(key, torch.zeros_like(gradient))
        torch.testing.assert_close(other, gradient, msg=key, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    one, two = (train(tmp_path / str(count), count) for count in (1, 2))
    assert len(one["losses"]) == 4
    assert one["losses"] == pytest.approx(two["losses"], rel=2e-5)


@pytest.mark.slow
def test_two_processes_go_on_after_a_cut(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 2)
    assert train(tmp_path / "cut", 2, until=3) is None
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    again = train(tmp_path / "cut", 2)
    assert again["losses"] == whole["losses"]
    for name, value in whole["learnt"].items():
        assert torch.equal(value, again["learnt"][name]), name


def test_a_batch_that_processes_cannot_share(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="batch is 5, which 2 processes cannot share equally"):
        fit(
            retriever(),
            Drawn(),
            Recipe(batch=5),
            folder=tmp_path,
            devices=Devices(2, accelerator="cpu"),
        )
    with pytest.raises(BadSetting, match="0 devices on 1 machines"):
        Devices(0)


PATIENT = """
import sys, time
from datetime import timedelta
from torch import distributed
from tempme.training.gather import heard, patient_group
rank, store = int(sys.argv[1]), sys.argv[2]
limit = timedelta(seconds=3)
distributed.init_process_group("gloo", f"file://{store}", timeout=limit, rank=rank, world_size=2)
group = patient_group()
distributed.barrier()
if rank == 0:
    time.sleep(6)
print(heard((rank + 0.5, {"r1": 1.0}), group))
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_others_wait_for_a_validation_longer_than_a_step_may_take(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PATIENT, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    ends = [one.communicate(timeout=120) for one in started]
    assert [out for out, _ in ends] == ["(0.5, {'r1': 1.0})\n"] * 2, ends[1][1][-2000:]
