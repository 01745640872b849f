"""Training in less memory learns the same, and freed memory serves the next step."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from tempme.training import ContrastiveTask, Recipe
from training_material import RECIPE, Drawn, learnt, retriever


def gradients(recipe: Recipe) -> dict[str, torch.Tensor]:
    """Of the parameters that learn, in one step."""
    made = retriever()
    task = ContrastiveTask(made, recipe)
    task.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    task.training_step(Drawn().part(0, 0, 1), 0).backward()
    return {name: p.grad for name, p in learnt(made).items() if p.grad is not None}


@pytest.mark.parametrize(
    "saving", [{"micro_batch": 1}, {"micro_batch": 3}, {"checkpoint_layers": True}]
)
def test_less_memory_leaves_the_gradients(saving: dict[str, Any]) -> None:
    recipe = replace(RECIPE, paraphrase=0.5)
    whole, saved = gradients(recipe), gradients(replace(recipe, **saving))
    assert whole.keys() == saved.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, saved[name], msg=name, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("saving", [{"micro_batch": 1}, {"checkpoint_layers": True}])
def test_less_memory_is_held_until_the_way_back(saving: dict[str, Any]) -> None:
    def held(recipe: Recipe) -> int:
        sizes: dict[int, int] = {}

        def note(x: torch.Tensor) -> torch.Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        task = ContrastiveTask(retriever("clip4clip"), recipe)
        task.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            loss = task.training_step(Drawn().part(0, 0, 1), 0)
        assert loss.requires_grad
        return sum(sizes.values())

    assert held(replace(RECIPE, **saving)) < 0.6 * held(RECIPE)


PAGES_OF_TENSORS = """
import resource, torch
from tempme.training.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
asked = faults()
can = keep_freed_memory()
faults()
print(can, asked, faults())
"""


@pytest.mark.slow
def test_freed_memory_is_there_for_the_next_step() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PAGES_OF_TENSORS], capture_output=True, text=True, check=True
    )
    can, before, after = ended.stdout.split()
    if can == "False":
        pytest.skip("this C library has no mallopt")
    assert int(after) < int(before) / 8
