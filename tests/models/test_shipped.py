"""The model in the package finds what it was trained to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tempme
from tempme.experiments import judge
from tempme.retriever.names import SHIPPED
from tempme.retriever.retriever import Retriever
from tempme.scenes import clip, scenes
from tempme.systems.table import system

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def shipped() -> Retriever:
    return tempme.load("scenes-tiny")


def test_it_fits_into_the_wheel() -> None:
    size = sum(path.stat().st_size for path in (SHIPPED / "scenes-tiny").iterdir())
    assert size <= 10 * MEGABYTE


def test_it_says_nothing_of_the_machine_it_was_made_on(shipped: Retriever) -> None:
    assert not Path(shipped.origin).is_absolute()


@pytest.mark.slow
def test_it_finds_held_out_static_scenes(shipped: Retriever) -> None:
    assert judge(shipped, "static", gallery=60)["t2v"]["r1"] >= 80


@pytest.mark.slow
def test_it_tells_a_video_from_its_reversed_twin(shipped: Retriever) -> None:
    assert judge(shipped, "temporal", gallery=100)["twins"] > 55


def test_mean_pooling_cannot_tell_twins_apart() -> None:
    retriever = Retriever.build(system("tome", backbone="scenes-tiny"), "scenes-tiny", seed=0)
    scene = scenes(2, part="temporal", split="test")[0]
    assert scene.twin is not None
    frames = np.stack([clip(scene), clip(scene.twin)])
    with torch.inference_mode():
        one, other = retriever.encode_videos(retriever.transform(frames))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
