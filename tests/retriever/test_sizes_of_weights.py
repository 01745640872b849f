"""Settings belong to the model that runs: a row by the sizes of weights, weights by the system."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tempme
from clip_states import random_state
from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.backbones.sizes import backbone_name
from tempme.cli.models import parts_of
from tempme.compression import TempMe, ToMe
from tempme.errors import BadSetting, BadWeights
from tempme.experiments.settings import Experiment
from tempme.experiments.start import started
from tempme.retriever.fitted import load_as
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system

SLIM = ClipConfig(
    patch=16,
    width=16,
    heads=1,
    text_width=8,
    text_layers=1,
    text_heads=1,
    embed=8,
    context=40,
    vocab=49408,
)
SHALLOW = replace(SLIM, patch=32, layers=2)


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with the tokens and blocks of ViT-B/16, and nothing else of it."""
    path = tmp_path_factory.mktemp("weights") / "slim.pt"
    torch.save(random_state(SLIM), path)
    return path


def test_rows_are_set_for_sizes_not_for_names() -> None:
    named = system("tempme", backbone="ViT-B/16").compression
    assert system("tempme", backbone=SLIM).compression == named
    assert isinstance(named, TempMe)
    assert (named.r, named.keep_cross, named.keep_intra) == (10, 0.6, 0.8)
    assert system("tempme", backbone=BACKBONES["ViT-B/32"]) == replace(
        system("tempme"), backbone=BACKBONES["ViT-B/32"]
    )
    assert backbone_name(replace(BACKBONES["ViT-L/14"], activation="gelu")) == "ViT-L/14"
    assert backbone_name(SLIM) is None


def test_a_verb_takes_plain_weights_for_what_load_does(slim: Path) -> None:
    assert parts_of(str(slim)).system == tempme.load(slim).system
    assert parts_of(str(slim)).system.name == "clip4clip"


def test_plain_weights_get_the_row_of_their_sizes(slim: Path) -> None:
    tome = tempme.load(slim, system_name="tome").system
    assert isinstance(tome.compression, ToMe)
    assert (tome.compression.r, tome.config.tokens) == (10, 197)
    table = {"system": {"name": "tome", "weights": str(slim), "max_words": 20, "frames": 3}}
    retriever, told = started(Experiment.of("on", table, "here"), seed=0)
    assert retriever.system.compression == tome.compression
    assert (told.system.backbone, told.system.max_words, told.system.frames) == (None, 20, 3)
    wrong = Experiment.of("on", {"system": table["system"] | {"backbone": "ViT-B/32"}}, "here")
    with pytest.raises(BadSetting, match=r"tome is made for ViT-B/32 .* \(patch 32, not 16, width"):
        started(wrong, seed=0)
    bare = Experiment.of("on", {"system": {"name": "tome", "weights": "openai"}}, "here")
    with pytest.raises(BadSetting, match=r"'openai' are of several backbones: say which, by sys"):
        started(bare, seed=0)


@pytest.mark.slow
def test_weights_do_not_overrule_a_system(caplog: pytest.LogCaptureFixture) -> None:
    state = random_state(SHALLOW)
    larger = replace(SHALLOW, image_size=256)
    with caplog.at_level(logging.WARNING, "tempme"):
        made = Retriever.build(system("clip4clip", backbone=larger), state)
    assert made.image_size == 256
    assert "for 224 pixels, are interpolated to 256 pixels" in caplog.text
    for activation in ("gelu", "quick_gelu"):
        row = system("clip4clip", backbone=replace(SHALLOW, activation=activation))
        assert Retriever.build(row, state).backbone.config.activation == activation
    with pytest.raises(BadSetting, match=r"other sizes than the weights .*layers 3, not 2"):
        Retriever.build(system("clip4clip", backbone=replace(SHALLOW, layers=3)), state)
    with pytest.raises(BadSetting, match=r"ViT-B/32.*make it with backbone='scenes-tiny'"):
        Retriever.build(system("tome"), "scenes-tiny")


def test_what_is_assumed_is_said(slim: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tempme"):
        assert tempme.load(slim).backbone.config.activation == "gelu"
    assert "assumed, the default of open_clip" in caplog.text
    assert tempme.load(slim, activation="quick_gelu").backbone.config.activation == "quick_gelu"


def test_a_model_with_other_frames_and_words(slim: Path, tmp_path: Path) -> None:
    plain = load_as(slim, system_name="tempme", lengths=(64, 64)).system
    assert (plain.name, plain.frames, plain.max_words) == ("tempme", 64, 40)
    assert load_as(slim, frames=3, max_words=9).system.frames == 3
    shallow = Retriever.build(system("clip4clip", backbone=SHALLOW), random_state(SHALLOW))
    saved = shallow.save(tmp_path / "saved")
    other = load_as(saved, frames=5, max_words=7)
    assert (other.system.frames, other.system.max_words) == (5, 7)
    ours, theirs = other.backbone.state_dict(), shallow.backbone.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    with pytest.raises(BadSetting, match="max_words is 77; this model reads 40 at most"):
        load_as(saved, max_words=77)
    with pytest.raises(BadSetting, match="saved retriever, whose system"):
        load_as(saved, system_name="tome")
    with pytest.raises(BadSetting, match=r"made for 12 frames .*, not for 6 .*clip_position"):
        load_as("scenes-tiny", frames=6)


@pytest.mark.parametrize("source", ["nosuch.pt", "nosuch", "scenes-tyny"])
def test_models_that_are_not_there(source: str) -> None:
    for load in (tempme.load, load_as):
        with pytest.raises(BadWeights, match=f"no model '{source}': there is no such file"):
            load(source)
