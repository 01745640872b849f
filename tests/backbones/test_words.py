"""The text side without PyTorch says what the whole model says, or there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import tempme
from learning import moved
from tempme.backbones.words import ACTIVATIONS
from tempme.retriever.retriever import Retriever
from tempme.retriever.words import words_of
from tempme.systems import table as zoo

TEXTS = [
    "a red circle",
    "",
    "a big blue star moves left, then a small green one " * 9,
    "été 猫",
    "red",
]


def made(name: str) -> Retriever:
    """A system that has learnt something, on the shipped backbone."""
    system = zoo.system(name, backbone="scenes-tiny")
    return moved(Retriever.build(system, "scenes-tiny", seed=0)).eval()


def check(retriever: Retriever) -> None:
    words = words_of(retriever.parts)
    assert words is not None
    with torch.inference_mode():
        expected = retriever.encode_texts(TEXTS).numpy()
    told = words.encode_texts(TEXTS)
    assert told.dtype == np.float32
    assert np.abs(told - expected).max() < 2e-6
    assert words.encode_texts([]).shape == (0, retriever.feature_size)


@pytest.mark.parametrize("name", ["clip4clip", "lora", "tempme", "tome"])
def test_a_plain_text_side(name: str) -> None:
    retriever = made(name)
    before = {key: value.clone() for key, value in retriever.backbone.text.state_dict().items()}
    check(retriever)
    after = retriever.backbone.text.state_dict()  # the folding was that of a copy
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_the_shipped_model() -> None:
    check(tempme.load("scenes-tiny"))


@pytest.mark.parametrize("name", ["adapter", "prompt", "dgl", "mv-adapter", "vop-c"])
def test_there_is_none_where_a_tuning_left_more_in_it(name: str) -> None:
    assert words_of(made(name).parts) is None


def test_texts_are_cut_as_in_training() -> None:
    retriever = made("clip4clip")
    shorter = replace(retriever.parts, system=replace(retriever.system, max_words=4))
    check(Retriever(shorter))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_are_those_of_the_layers(name: str) -> None:
    from tempme.backbones import mlp

    x = torch.linspace(-9, 9, 400)
    expected = mlp.ACTIVATIONS[name]()(x).numpy()
    assert np.abs(ACTIVATIONS[name](x.numpy()) - expected).max() < 1e-6
