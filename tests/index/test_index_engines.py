"""An index made on another engine: searched by any that is near, and by its own where none is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import error_of, start
from index_material import ColourRetriever, new_index, write_films
from small_models import small
from tempme.engines import agreement
from tempme.engines.agreement import EngineAgreement
from tempme.engines.choice import EngineChoice
from tempme.errors import WrongModel
from tempme.index import Index
from tempme.index.model import _near

pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
pytest.importorskip("onnxscript", reason="needs tempme[onnx]")
ONNX = EngineChoice("onnx", "fp32")


@pytest.mark.slow
def test_engines_that_agree_may_be_mixed(tmp_path: Path) -> None:
    model, films = small("tempme"), write_films(tmp_path / "films")
    index = Index.create(tmp_path / "index", model, running=ONNX)
    assert index.header.fingerprint == model.fingerprint
    assert index.retriever.engine.name == "onnx"
    report = index.add(films, workers=1)
    assert [video.path.name for video in report.failures] == ["bad.mp4"]
    for running in (EngineChoice(), EngineChoice("torch", "fp32"), ONNX):
        reader = Index.open(index.path, running=running)
        assert reader.search("a dog")
        for name in ("red.mp4", "green blue.mp4"):
            (hit, *_) = reader.similar(films / name)
            assert Path(hit.path).samefile(films / name)
            assert hit.score > 0.999


@pytest.mark.slow
def test_engines_that_do_not_agree_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is as near as that: a stand-in for an engine that is further away than the limit.
    monkeypatch.setattr(agreement, "LIMIT", EngineAgreement(2, 2, 2))
    model, films = small("tempme"), write_films(tmp_path / "films")
    index = Index.create(tmp_path / "index", model, running=ONNX)
    index.add(films, workers=1)
    assert index.header.fingerprint == f"{model.fingerprint}+onnx-fp32"
    reader = Index.open(index.path)
    assert reader.search("a dog")  # with the text side that the index keeps
    assert reader.retriever.engine.name == "onnx"  # its own, though nobody says so
    with pytest.raises(WrongModel, match="PyTorch are too far from those of onnx in fp32"):
        _ = Index.open(index.path, running=EngineChoice("torch")).retriever
    plain = Index.create(tmp_path / "plain", model)
    assert plain.header.fingerprint == model.fingerprint
    with pytest.raises(WrongModel, match="onnx in fp32 are too far from those of PyTorch"):
        _ = Index.open(plain.path, running=ONNX).retriever


def test_which_of_two_engines_made_the_index_is_said(tmp_path: Path) -> None:
    index, model = new_index(tmp_path), ColourRetriever()
    plain = index.header
    onnx = replace(plain, fingerprint=f"{plain.fingerprint}+onnx-int8")
    assert _near(model, plain, index.path) is model
    with pytest.raises(WrongModel, match="of PyTorch are too far from those of onnx in int8, wh"):
        _near(model, onnx, index.path)


def answer(*words: object) -> dict[str, Any]:
    run = start(*words, "--json")
    out, err = run.communicate(timeout=600)
    assert run.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_verbs_take_an_engine(tmp_path: Path) -> None:
    films, saved = write_films(tmp_path / "films"), small("tempme").save(tmp_path / "saved")
    where = ["--index", tmp_path / "index"]
    chosen = ["--engine", "onnx", "--precision", "fp32"]
    told = answer("index", films, *where, "--model", saved, *chosen)
    assert (told["videos"]["indexed"], told["videos"]["failed"]) == (3, 1)
    found = answer("search", "a dog", *where, *chosen)["hits"]
    same = answer("search", "a dog", *where)["hits"]
    assert [hit["path"] for hit in found] == [hit["path"] for hit in same]
    scores = [[hit["score"] for hit in hits] for hits in (found, same)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_choice_that_cannot_be_is_said_before_anything_is_done(tmp_path: Path) -> None:
    for verb in (["index", str(tmp_path)], ["search", "x"], ["serve"]):
        words = [*verb, "--index", tmp_path / "i", "--engine", "torch", "--precision", "int8"]
        assert "the engine torch has no int8" in error_of(start(*words))
        assert not (tmp_path / "i").exists()
