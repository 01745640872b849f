"""Every row says where it is from, and recipes can be read by the trainer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from small_tunings import SMALL, frames, ids
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.systems.provenance import SOURCES
from tempme.training import Recipe


def test_every_row_has_a_source() -> None:
    assert SOURCES.keys() == (zoo.PAPER | zoo.ORIGINALS | zoo.UMT | zoo.RULES).keys()
    standings = {source.standing for source in SOURCES.values()}
    assert standings == {"reproduced", "reconstructed", "adapted", "ours"}
    of_rules = {SOURCES[name].standing for name in zoo.RULES}
    assert of_rules == {"adapted", "ours"}  # no paper has these rows
    assert SOURCES["rap"].standing == "reconstructed"


@pytest.mark.parametrize("name", SOURCES)
def test_recipes_are_recipes(name: str) -> None:
    recipe = replace(Recipe(), **SOURCES[name].recipe)
    assert recipe.learning_rate > 0


@pytest.mark.parametrize("name", zoo.ORIGINALS)
@torch.no_grad()
def test_second_settings_build(name: str) -> None:
    row = zoo.ORIGINALS[name]
    assert row.name == name
    retriever = Retriever.build(zoo.system(name, backbone=SMALL, frames=3), None, seed=0)
    assert retriever.encode_videos(frames()).shape == (2, SMALL.embed)
    assert retriever.encode_texts(ids()).shape == (2, SMALL.embed)


def test_second_settings_are_the_authors() -> None:
    assert zoo.ORIGINALS["plevu-original"].pooling != zoo.PAPER["plevu"].pooling
    assert zoo.ORIGINALS["vop-original"].max_words == 69
    assert zoo.ORIGINALS["mv-adapter-original"].trainable_parameters() == 3_496_704
