"""Training as the official code trains: the losses and the parameters of one and of ten steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tempme
from golden_files import GOLDEN
from golden_models import Golden
from tempme.training import Batch, Recipe, fit

LOSS = 2e-5  # relative
PARAMETER = 2e-6


class Again:
    """The same pairs in every step: frames of the reference, already normalised, and ids."""

    def __init__(self, golden: Golden) -> None:
        self.batch = Batch(golden.frames, golden.ids, [], list(range(golden.num_videos)))

    def part(self, step: int, rank: int, world: int) -> Batch:
        assert (rank, world) == (0, 1)
        assert step >= 0
        return self.batch


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param("A", 1, marks=pytest.mark.slow),
        ("A", 10),
        ("B", 1),
        pytest.param("B", 10, marks=pytest.mark.slow),
    ],
)
def test_losses_and_parameters_are_the_official_ones(
    name: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = Golden(name)
    expected = golden.facts[f"train{steps}"]
    recipe = Recipe(steps=steps, batch=golden.num_videos, optimizer="official", precision="fp32")
    retriever = golden.build()
    monkeypatch.setattr(retriever, "transform", lambda frames: frames)  # they are normalised
    fitted = fit(retriever, Again(golden), recipe, folder=tmp_path, show_progress=False)
    assert fitted.history.losses == pytest.approx(expected["losses"][:-1], rel=LOSS)
    texts = retriever.encode_texts(golden.ids)
    videos = retriever.encode_videos(golden.frames)
    last = tempme.training.losses.contrastive_loss(texts, videos, retriever.backbone.logit_scale)
    assert last.item() == pytest.approx(expected["losses"][-1], rel=LOSS)
    learnt = {k: v for k, v in retriever.named_parameters() if v.requires_grad}
    for key, value in official(golden, f"after{steps}").items():
        difference = (learnt[key] - value).abs().max().item()
        assert difference < PARAMETER, key


def official(golden: Golden, when: str) -> dict[str, torch.Tensor]:
    """What the official code had learnt, under our names."""
    trained = load_file(GOLDEN / f"{golden.name}_trained.safetensors")
    state = {
        key.removeprefix(f"{when}."): value
        for key, value in trained.items()
        if key.startswith(f"{when}.")
    }
    assert np.isfinite([value.sum().item() for value in state.values()]).all()
    made = tempme.from_official(golden.state | state, compression=golden.build().system.compression)
    return {k: v for k, v in made.named_parameters() if v.requires_grad}
