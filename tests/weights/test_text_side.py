"""Whose words a text encoder reads, and what a CLIP inside another checkpoint is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import tempme
from clip_states import SMALL, assert_same, random_state
from tempme.backbones.bytepair import VOCAB, piece_ids
from tempme.errors import BadWeights
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.weights.read import read_weights

HEADS = {
    "lstm_visual.weight_ih_l0": "head seqLSTM",
    "cross.pooler.dense.weight": "head tightTransf",
    "frame_position_embeddings.weight": "head seqLSTM without its LSTM",
    "clip.visual.conv2.weight": "3d patches",
    "aligner.weight": "aligner.weight beside it",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder as hubs have them, its weights under OpenAI's names."""
    save_file(random_state(), tmp_path / "model.safetensors")
    return tmp_path


def wrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"clip.{name}": value for name, value in state.items()}


@pytest.mark.slow
def test_clips_own_vocabulary_is_read(folder: Path) -> None:
    (folder / "vocab.json").write_text(json.dumps(piece_ids()))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": piece_ids()}}))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    assert_same(read_weights(folder).state, random_state())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}, "is BertTokenizer; only"),
        ("vocab.json", {f"##{i}": i for i in range(500)}, "another vocabulary than CLIP's"),
        ("tokenizer.json", {"model": {"vocab": [["a", -1.0]]}}, "another vocabulary"),
    ],
)
def test_other_vocabularies_are_refused(
    folder: Path, name: str, content: object, said: str
) -> None:
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(BadWeights, match=said):
        read_weights(folder)
    # A file of any other name may have come into the folder of another model.
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    assert read_weights(folder / "mine.safetensors").config.vocab == SMALL.vocab


def test_the_end_of_a_text_elsewhere_is_refused(folder: Path) -> None:
    """The same pieces, but other ids for start and end."""
    shifted = piece_ids() | {"<|endoftext|>": VOCAB - 2, "<|startoftext|>": VOCAB - 1}
    (folder / "vocab.json").write_text(json.dumps(shifted))
    with pytest.raises(BadWeights, match="another vocabulary"):
        read_weights(folder)


def test_more_words_than_clip_has_are_refused() -> None:
    more = replace(SMALL, vocab=VOCAB + 1)
    row = system("clip4clip", backbone=more)
    with pytest.raises(BadWeights, match="text encoder of 49,409 word pieces"):
        Retriever.build(row, random_state(more))


def test_checkpoints_of_clip4clip_are_clip4clip(tmp_path: Path) -> None:
    torch.save(wrapped(random_state()), tmp_path / "pytorch_model.bin.4")
    read = read_weights(tmp_path / "pytorch_model.bin.4")
    assert_same(read.state, random_state())
    assert (read.config.activation, read.activation_is_assumed) == ("quick_gelu", False)
    retriever = tempme.load(tmp_path / "pytorch_model.bin.4")
    assert retriever.system.name == "clip4clip"
    with pytest.raises(BadWeights, match="nothing of TempMe, as checkpoints of CLIP4Clip do"):
        tempme.from_official(tmp_path / "pytorch_model.bin.4")


@pytest.mark.parametrize("name", HEADS)
def test_other_models_around_a_clip_are_refused_by_name(name: str) -> None:
    state = wrapped(random_state()) | {name: torch.zeros(2)}
    with pytest.raises(BadWeights, match=HEADS[name]):
        read_weights(state)
