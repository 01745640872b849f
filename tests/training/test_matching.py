"""What retrieval with UMT learns by, where the official code cannot tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import umt_processes
from tempme.errors import BadSetting
from tempme.training.matching import draw, matching_loss, soft_contrastive_loss
from umt_processes import learn


def test_a_negative_is_never_of_the_same_video() -> None:
    ids = torch.tensor([0, 0, 1, 2])
    logits = 20 * torch.ones(4, 4) + 50 * torch.eye(4)
    for _ in range(20):
        drawn = draw(logits, ids, ids)
        assert (ids[drawn] != ids).all()


def test_weights_that_vanish_are_drawn_among_themselves() -> None:
    """At temperature 0.001 the softmax of all others is 0 in fp32; the original stops there."""
    logits = torch.tensor([[1000.0, 300.0, 200.0], [0.0, 1000.0, 1.0], [700.0, 1.0, 900.0]])
    assert (logits.softmax(dim=1) * (1 - torch.eye(3))).sum() == 0
    ids = torch.arange(3)
    assert draw(logits, ids, ids).tolist()[::2] == [1, 0]


@pytest.mark.parametrize("ids", [[4], [4, 4, 4]])
def test_a_batch_without_a_negative_is_refused(ids: list[int]) -> None:
    same = torch.tensor(ids)
    with pytest.raises(BadSetting, match=f"batch of {len(ids)} pairs has no negative"):
        draw(torch.zeros(len(ids), len(ids)), same, same)


def test_negatives_may_be_of_other_processes() -> None:
    """Rows are the pairs of one process, columns those of all."""
    own, everyone = torch.tensor([0, 1]), torch.tensor([0, 1, 2, 3])
    logits = torch.tensor([[9.0, 0.0, 90.0, 0.0], [0.0, 9.0, 0.0, 90.0]])
    assert draw(logits, own, everyone).tolist() == [2, 3]


def test_contrastive_loss_wants_pairs() -> None:
    with pytest.raises(BadSetting, match="repeat the video"):
        soft_contrastive_loss(torch.zeros(2, 3), 0.07)


def test_the_first_third_fits() -> None:
    right = torch.tensor([[0.0, 50.0], [50.0, 0.0], [50.0, 0.0]])
    assert matching_loss(right) < 1e-6
    assert matching_loss(-right) > 10


@pytest.mark.slow
def test_processes_share_negatives_and_learn_what_one_learns(tmp_path: Path) -> None:
    whole, world = learn(slice(None)), 2
    command = [sys.executable, umt_processes.__file__, str(tmp_path)]
    clean = os.environ | {"OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([*command, str(rank), str(world)], env=clean, stderr=subprocess.PIPE)
        for rank in range(world)
    ]
    for run in runs:
        _, said = run.communicate(timeout=200)
        assert run.returncode == 0, said.decode()[-2000:]
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(world)]
    for part in parts:  # each process has the contrastive loss of all, and matches its own
        torch.testing.assert_close(part["losses"]["contrastive"], whole["losses"]["contrastive"])
    matching = torch.stack([part["losses"]["matching"] for part in parts]).mean()
    torch.testing.assert_close(matching, whole["losses"]["matching"])
    for name, gradient in whole["gradients"].items():
        mean = torch.stack([part["gradients"][name] for part in parts]).mean(dim=0)
        torch.testing.assert_close(mean, gradient, msg=name, rtol=1e-4, atol=1e-6)
