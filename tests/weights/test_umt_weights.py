"""UMT's published files, small ones with exactly their names: read, taken apart, or refused."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from golden_files import GOLDEN
from tempme.backbones.umt.answerer import UmtAnswerer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.names import to_official
from tempme.errors import BadWeights
from tempme.weights.umt_release import read_umt, read_umt_answerer

KEYS: dict[str, Any] = json.loads((GOLDEN / "umt" / "checkpoint_keys.json").read_text())
SIZES = UmtConfig(
    image_size=32,
    width=8,
    layers=12,
    heads=2,
    text_width=8,
    text_layers=12,
    text_heads=2,
    fusion_from=9,
    decoder_layers=3,
    embed=4,
    context=6,
    vocab=11,
)
ASKED = {"image_size": 32, "heads": 2, "text_heads": 2}


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape).half().float()


@pytest.fixture
def published() -> dict[str, Tensor]:
    """The pre-training file, under the very names of the published one."""
    official = to_official(Umt(SIZES).state_dict()) | to_official(UmtAnswerer(SIZES).state_dict())
    state: dict[str, Tensor] = {}
    for name in KEYS["pretrain_keys"]:
        plain = name.replace("text_encoder.bert.", "text_encoder.")
        head = plain.replace("text_encoder.cls.", "text_decoder.cls.")
        known = official.get(plain, official.get(head))
        if known is not None:
            state[name] = numbers(*known.shape)
    state["temp"] = torch.tensor(0.07)
    state["text_encoder.bert.embeddings.position_ids"] = torch.arange(SIZES.context)[None]
    tied = "text_encoder.bert.embeddings.word_embeddings.weight"
    state["text_encoder.cls.predictions.decoder.weight"] = state[tied]
    state["text_encoder.cls.predictions.decoder.bias"] = state["text_encoder.cls.predictions.bias"]
    assert set(state) == set(KEYS["pretrain_keys"])
    return state


def renamed(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """As the original's loader renames it for retrieval or questions."""
    return {name: state[source] for name, source in KEYS[kind]["source_of"].items()}


def test_pre_training_file_as_retrieval_model(published: dict[str, Tensor]) -> None:
    weights = read_umt(published, **ASKED)
    assert (weights.layout, weights.config) == ("pre-training", SIZES)
    assert list(weights.left_out) == sorted(KEYS["retrieval"]["unexpected"])
    assert "7 tensors of no use" in weights.summary
    model = Umt(weights.config)
    model.load_state_dict(weights.state)
    for name, value in to_official(model.state_dict()).items():
        source = KEYS["retrieval"]["source_of"][name]
        assert torch.equal(value, published[source]), name


def test_pre_training_file_as_answerer(published: dict[str, Tensor]) -> None:
    weights = read_umt_answerer(published, **ASKED)
    assert weights.config == replace(SIZES, embed=weights.config.embed)
    assert list(weights.left_out) == sorted(KEYS["qa"]["unexpected"])
    model = UmtAnswerer(weights.config)
    model.load_state_dict(weights.state)
    for name, value in to_official(model.state_dict()).items():
        source = KEYS["qa"]["source_of"][name]
        assert torch.equal(value, published[source]), name


class Settings(dict[str, Any]):
    """What the original keeps beside the weights: a class of its own, with attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", ["retrieval", "qa"])
def test_finetuned_files(
    tmp_path: Path, published: dict[str, Tensor], kind: str, nested: bool
) -> None:
    state = renamed(published, kind)
    kept = {n: v for n, v in state.items() if n not in KEYS[kind]["unexpected"]}
    path, mark = tmp_path / f"{kind}_msrvtt_b16.pth", tmp_path / "executed"
    optimizer = {
        "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
        "param_groups": [{"lr": 1e-5}],
    }
    whole = {
        "model": OrderedDict(kept),
        "optimizer": optimizer,
        "scheduler": {"last_epoch": 10, "_lr": [1.5e-5]},
        "scaler": {"scale": 65536.0, "growth_interval": 2000},
        "config": Settings(model=Settings(temp=0.07, layers=[1, 2]), trap=Trap(mark)),
        "epoch": 9,
        "global_step": 28120,
    }
    torch.save(whole if nested else kept, path)
    read = read_umt if kind == "retrieval" else read_umt_answerer
    weights = read(path, **ASKED)
    assert weights.layout == ("retrieval" if kind == "retrieval" else "questions")
    assert weights.left_out == ()
    assert not mark.exists()
    (Umt if kind == "retrieval" else UmtAnswerer)(weights.config).load_state_dict(weights.state)
    assert str(path) in weights.summary


def test_what_pre_training_alone_has_is_named(published: dict[str, Tensor]) -> None:
    extra = {
        "vision_encoder.clip_decoder.0.head.weight": numbers(4, 8),
        "clip_teacher.class_embedding": numbers(8),
    }
    weights = read_umt(published | extra, **ASKED)
    assert set(extra) <= set(weights.left_out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"itm_head.bias": None}, "lacks 1 tensors: itm_head.bias"),
        ({"vision_proj.weight": torch.zeros(4, 9)}, r"vision_proj.weight is \(4, 9\)"),
        ({"text_proj.bias": torch.full((4,), float("nan"))}, "NaN"),
        ({"vision_encoder.encoder.patch_embed.proj.weight": None}, "patch_embed"),
    ],
)
def test_damaged_files_are_named(
    published: dict[str, Tensor], change: dict[str, Tensor | None], message: str
) -> None:
    state = {n: v for n, v in (published | change).items() if v is not None}
    with pytest.raises(BadWeights, match=message):
        read_umt(state, **ASKED)


def test_files_of_another_kind_are_named(published: dict[str, Tensor]) -> None:
    questions = renamed(published, "qa")
    retrieval = renamed(published, "retrieval")
    for kind, state, extra in (
        ("retrieval", questions, KEYS["qa"]["unexpected"]),
        ("questions", retrieval, KEYS["retrieval"]["unexpected"]),
    ):
        kept = {name: value for name, value in state.items() if name not in extra}
        read = read_umt if kind == "retrieval" else read_umt_answerer
        with pytest.raises(BadWeights, match="lacks"):
            read(kept, **ASKED)
    first = {n.removeprefix("vision_encoder."): v for n, v in published.items()}
    first = {n: v for n, v in first.items() if n.startswith("encoder.")}
    with pytest.raises(BadWeights, match="first stage"):
        read_umt(first)
    with pytest.raises(BadWeights, match="is a CLIP"):
        read_umt({"visual.conv1.weight": torch.zeros(1)})
    with pytest.raises(BadWeights, match="is not a UMT"):
        read_umt({"weight": torch.zeros(1)})
