"""What tests of `tempme show` share: the verb, a film, a saved model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index_material import write_video
from shown_models import SMALL
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from terminals import Terminal


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd, "show")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("films") / "film.mp4", ["red", "blue"], seconds=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tempme of 6 frames, not the paper's settings."""
    made = zoo.system("tempme", backbone=SMALL, frames=6)
    made = replace(made, compression=replace(made.compression, keep_cross=0.6))
    return Retriever.build(made, None, seed=0).save(
        tmp_path_factory.mktemp("models") / "small", whole=True
    )
