"""State dicts under the official release's names come apart into CLIP, LoRA and positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from clip_states import SMALL, assert_same, random_state
from tempme.errors import BadWeights
from tempme.weights.read import read_weights
from tempme.weights.tempme_release import is_official, split_official

VISION = "clip.visual.transformer.resblocks."
TEXT = "clip.transformer.resblocks."


def learnt() -> dict[str, Tensor]:
    """LoRA of rank 4 in one block of each tower, positions of two joins."""
    torch.manual_seed(0)
    return {
        f"{VISION}1.attn.TVPt_LoRA_a": torch.randn(4, 64),
        f"{VISION}1.attn.TVPt_LoRA_b": torch.randn(192, 4),
        f"{TEXT}0.attn.TVPt_LoRA_a": torch.randn(4, 128),
        f"{TEXT}0.attn.TVPt_LoRA_b": torch.randn(384, 4),
        f"{VISION}0.TVPt_Video_Positional_embedding": torch.randn(1, 6, 1, 64),
        f"{VISION}1.TVPt_Video_Positional_embedding": torch.randn(1, 3, 1, 64),
    }


def official() -> dict[str, Tensor]:
    return {f"clip.{name}": value for name, value in random_state().items()} | learnt()


WRAPPINGS = {
    "bare": lambda state: state,
    "data parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "state_dict": lambda state: {"epoch": 4, "state_dict": state},
    "model": lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_parts_of_an_official_state_dict(wrapping: str, tmp_path: Path) -> None:
    wrapped = WRAPPINGS[wrapping](official())
    torch.save(wrapped, tmp_path / "tempme.bin")
    for source in (wrapped, tmp_path / "tempme.bin", str(tmp_path / "tempme.bin")):
        parts = split_official(source)
        weights = read_weights(parts.state, activation="quick_gelu")
        assert_same(weights.state, random_state())
        assert weights.config.width == SMALL.width
        given = learnt()
        assert list(parts.lora) == [("text", 0), ("visual", 1)]
        a, b = parts.lora["visual", 1]
        assert torch.equal(a, given[f"{VISION}1.attn.TVPt_LoRA_a"])
        assert torch.equal(b, given[f"{VISION}1.attn.TVPt_LoRA_b"])
        assert parts.lora["text", 0][1].shape == (384, 4)
        assert {block: tuple(each.shape) for block, each in parts.positions.items()} == {
            0: (6, 1, 64),
            1: (3, 1, 64),
        }
        position = given[f"{VISION}1.TVPt_Video_Positional_embedding"][0]
        assert torch.equal(parts.positions[1], position)


def test_what_learnt_may_be_alone_and_so_may_clip() -> None:
    alone = split_official(learnt())
    assert (len(alone.state), len(alone.lora), len(alone.positions)) == (0, 2, 2)
    plain = split_official(random_state())
    assert_same(plain.state, random_state())
    assert not plain.lora
    assert not plain.positions


def test_official_names_are_known_from_others() -> None:
    assert is_official(official())
    assert is_official(WRAPPINGS["data parallel"](official()))
    assert is_official(learnt())
    assert not is_official(random_state())


def test_read_weights_sends_official_releases_on() -> None:
    with pytest.raises(BadWeights, match="from_official"):
        read_weights(official())


def test_halves_are_refused() -> None:
    state = official()
    del state[f"{VISION}1.attn.TVPt_LoRA_b"]
    with pytest.raises(BadWeights, match="visual block 1 has only A"):
        split_official(state)
    with pytest.raises(BadWeights, match=r"text block 0 has A \(4, 128\), B \(384, 5\)"):
        split_official(official() | {f"{TEXT}0.attn.TVPt_LoRA_b": torch.zeros(384, 5)})
    with pytest.raises(BadWeights, match=r"positions of block 0 are \(6, 64\)"):
        split_official(
            official() | {f"{VISION}0.TVPt_Video_Positional_embedding": torch.zeros(6, 64)}
        )
    with pytest.raises(BadWeights, match="TVPt_Prompt"):
        split_official(official() | {f"{VISION}0.TVPt_Prompt": torch.zeros(1)})
