"""The models in the package find what they were trained to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tempme
from tempme.experiments import judge
from tempme.retriever.checkpoint import backbone_of
from tempme.retriever.names import SHIPPED
from tempme.retriever.names import shipped as names
from tempme.retriever.retriever import Retriever
from tempme.scenes import clip, scenes
from tempme.systems.table import system

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def shipped() -> Retriever:
    return tempme.load("scenes-tiny")


def test_they_fit_into_the_wheel() -> None:
    sizes = {
        name: sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) for name in names()
    }
    assert list(sizes) == ["scenes-lively", "scenes-tiny"]
    assert max(sizes.values()) <= 10 * MEGABYTE


@pytest.mark.parametrize("name", names())
def test_they_say_nothing_of_the_machine_they_were_made_on(name: str) -> None:
    assert not Path(tempme.load(name).origin).is_absolute()


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


@pytest.mark.slow
def test_the_lively_backbone_sees_details_before_any_tuning() -> None:
    plain = system("lora", backbone=backbone_of("scenes-lively"))
    found = judge(Retriever.build(plain, "scenes-lively", seed=0), "lively", gallery=60)
    assert found["rivals"] > 55
    assert found["t2v"]["r1"] > 25
