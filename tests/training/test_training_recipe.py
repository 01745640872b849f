"""What a recipe says: rates and weight decay by part, and what its settings cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tempme.errors import BadSetting
from tempme.training import ContrastiveTask, Recipe
from training_material import RECIPE, learnt, retriever


def groups(recipe: Recipe, name: str = "tempme") -> dict[tuple[float, float], int]:
    """How many numbers learn at each rate and weight decay."""
    optimizer = ContrastiveTask(retriever(name), recipe).configure_optimizers()["optimizer"]
    return {
        (group["initial_lr"], group["weight_decay"]): sum(p.numel() for p in group["params"])
        for group in optimizer.param_groups
    }


def count(part: str = "") -> int:
    """How many numbers learn in the parameters whose name holds `part`."""
    return sum(p.numel() for name, p in learnt(retriever()).items() if part in name)


def test_parts_learn_at_rates_of_their_own() -> None:
    assert groups(RECIPE) == {(1e-2, 0.2): count()}
    positions = count("clip_position")
    assert 0 < positions < count()
    given = groups(replace(RECIPE, rates={"clip_position": 0.5}))
    assert given == {(0.5, 0.2): positions, (1e-2, 0.2): count() - positions}


def test_vectors_may_be_spared_from_weight_decay() -> None:
    sizes = learnt(retriever("clip4clip")).values()
    vectors = sum(p.numel() for p in sizes if p.ndim < 2)
    matrices = sum(p.numel() for p in sizes if p.ndim >= 2)
    assert groups(RECIPE, "clip4clip") == {(1e-2, 0.2): vectors + matrices}
    spared = groups(replace(RECIPE, decay_vectors=False), "clip4clip")
    assert spared == {(1e-2, 0.0): vectors, (1e-2, 0.2): matrices}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"steps": 0}, r"recipe\.steps is 0; it must be 1 or more"),
        ({"batch": -1}, r"recipe\.batch is -1"),
        ({"save_every": 0}, r"recipe\.save_every is 0"),
        ({"warmup": 1.0}, r"recipe\.warmup is 1\.0; it is a share"),
        ({"average": -0.1}, r"recipe\.average is -0\.1"),
        ({"betas": (0.9, 1.5)}, r"recipe\.betas is 1\.5; it is a share"),
        ({"rates": {"text": -1.0}}, r"recipe\.rates\.text is -1\.0; it must be 0 or more"),
        ({"weight_decay": -1.0}, r"recipe\.weight_decay is -1\.0; it must be 0 or more"),
        ({"patience": 2}, r"set recipe\.validate_every"),
        ({"optimizer": "sgd"}, r"recipe\.optimizer is 'sgd'; possible: adamw, official"),
        ({"loggers": ("mlflow",)}, r"recipe\.loggers is 'mlflow'"),
        ({"precision": "fp8"}, r"recipe\.precision is 'fp8'; possible: .*bf16"),
    ],
)
def test_what_a_recipe_cannot_be(setting: dict[str, object], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        Recipe(**setting)  # type: ignore[arg-type]
