"""Frames and words are those of the data set, where an experiment says no others."""

from __future__ import annotations

import pytest

from tempme.datasets.table import DATASETS
from tempme.errors import BadSetting
from tempme.experiments.settings import Experiment


def read(data: str, **system: object) -> Experiment:
    tables = {
        "system": {"name": "tempme", "backbone": "ViT-B/32", "weights": "openai"} | system,
        "data": {"name": data, "annotations": "."} if data != "scenes" else {},
    }
    return Experiment.of("one", tables, "here")


@pytest.mark.parametrize("name", [name for name, one in DATASETS.items() if one.read])
def test_an_experiment_is_as_long_as_its_data(name: str) -> None:
    one = read(name)
    made, known = one.system.system(), DATASETS[name]
    assert (made.frames, made.max_words) == (known.frames, known.max_words)
    assert one.lengths_elsewhere == ""


def test_other_lengths_are_said() -> None:
    one = read("activitynet", frames=12, max_words=32)
    assert one.system.system().max_words == 32
    assert one.lengths_elsewhere == (
        "activitynet is read with 64 frames and 64 words in the literature; this run has 12 and 32"
    )
    assert read("activitynet", name="plevu-original").lengths_elsewhere == ""
    made = read("activitynet", name="plevu-original").system.system()
    assert (made.frames, made.max_words) == (16, 45)
    assert read("scenes").lengths_elsewhere == ""


def test_lengths_that_cannot_be() -> None:
    with pytest.raises(BadSetting, match=r"system\.frames is 0; it must be 1 or more"):
        read("scenes", frames=0)
    with pytest.raises(BadSetting, match=r"system\.max_words is 1; it must be 2 or more"):
        read("scenes", max_words=1)
