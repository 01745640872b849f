"""What stands inside all that tunings and compressions put around a backbone."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tempme.backbones.clip import Clip
from tempme.backbones.config import ClipConfig
from tempme.backbones.layers import Around, Block, Layer, inner_state
from tempme.compression import Compression, Keep, TempMe, ToMe
from tempme.tuning import RAP, TUNINGS, Adapter, Full, LoRA, VoP

TINY = ClipConfig(
    image_size=32, patch=16, width=32, heads=2, layers=4, text_width=16, text_layers=2,
    text_heads=2, embed=16, context=30, vocab=64,
)  # fmt: skip
FRAMES = 4
JOINING = TempMe(r=0, joins={1: 2, 2: 2})
KEEPING_FRAMES = {"rap": RAP(warped=0)}


def plain() -> Clip:
    torch.manual_seed(3)
    return Clip(TINY)


def around(clip: Clip, tuning: str, compression: Compression) -> Clip:
    made = KEEPING_FRAMES.get(tuning, TUNINGS[tuning]()).fitted(TINY)
    made.tune(clip, frames=FRAMES, words=16)
    plan = compression.plan(tokens=TINY.tokens, frames=FRAMES, depth=TINY.layers)
    wrapped = zip(clip.vision.layers, made.plan(plan), strict=True)
    clip.vision.layers = nn.ModuleList(
        compression.wrap(layer, step, TINY.width)  # type: ignore[arg-type]
        for layer, step in wrapped
    )
    return clip


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("compression", [Keep(), ToMe(1)], ids=["keep", "tome"])
def test_the_innermost_layer_is_that_of_the_backbone(tuning: str, compression: Compression) -> None:
    clip = plain()
    before = {tower: list(getattr(clip, tower).layers) for tower in ("vision", "text")}
    made = around(clip, tuning, compression)
    for tower, blocks in before.items():
        for layer, block in zip(getattr(made, tower).layers, blocks, strict=True):
            assert isinstance(layer, Layer)
            assert layer.inner() is block
            assert isinstance(block, Block)
            assert block.inner() is block


@pytest.mark.parametrize("tuning", sorted(TUNINGS.keys() - {"adapter"}))
@pytest.mark.parametrize("compression", [ToMe(1), JOINING], ids=["tome", "joining"])
def test_the_state_inside_is_that_of_the_backbone(tuning: str, compression: Compression) -> None:
    if tuning == "rap" and compression is JOINING:
        compression = Keep()
    clip = plain()
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    found = inner_state(around(clip, tuning, compression))
    assert before.keys() <= found.keys()
    for name, value in before.items():
        if tuning == "plevu" and name == "logit_scale":
            continue  # it has a temperature of its own
        assert torch.equal(found[name], value), name
    Clip(TINY).load_state_dict({name: found[name] for name in before})


def test_a_plain_backbone_is_its_own_inside() -> None:
    clip = plain()
    state, found = clip.state_dict(), inner_state(clip)
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_lora_is_left_out_wherever_it_is() -> None:
    clip = plain()
    start = {name: value.clone() for name, value in clip.state_dict().items()}
    LoRA(rank=2).tune(clip, frames=FRAMES, words=16)
    for name, parameter in clip.named_parameters():
        if name.endswith("up.weight"):
            nn.init.ones_(parameter)
    found = inner_state(clip)
    assert found.keys() == start.keys()
    assert all(torch.equal(found[name], value) for name, value in start.items())


def test_what_took_a_place_keeps_names_of_its_own() -> None:
    clip = plain()
    Adapter().tune(clip, frames=FRAMES, words=16)
    found = inner_state(clip)
    assert "vision.layers.0.mlp.c_fc.weight" not in found
    assert "vision.layers.0.mlp.mlp.c_fc.weight" in found


def test_frames_are_apart_only_if_they_are_all_the_way_in() -> None:
    alone = Block(8, 2, "gelu")
    assert Around(alone).sees_one_frame
    meeting = Around(alone, sees_one_frame=False)
    assert not meeting.sees_one_frame
    assert not Around(meeting).sees_one_frame


@torch.no_grad()
def test_a_layer_around_another_changes_nothing_by_itself() -> None:
    clip = plain()
    other = copy.deepcopy(clip)
    blocks: list[Layer] = list(other.vision.layers)  # type: ignore[arg-type]
    other.vision.layers = nn.ModuleList(Around(layer) for layer in blocks)
    frames = torch.randn(2, FRAMES, 3, TINY.image_size, TINY.image_size)

    def encoded(one: Clip) -> Tensor:
        return one.vision.project(one.vision.encode(one.vision.embed(frames)))

    torch.testing.assert_close(encoded(other), encoded(clip), atol=2e-6, rtol=0)


def test_vop_of_places_and_full_tuning_keep_their_names() -> None:
    """The names under which retrievers were saved."""
    clip, tuned = plain(), plain()
    Full().tune(clip, frames=FRAMES, words=16)
    assert list(clip.state_dict()) == list(plain().state_dict())
    replace(VoP(), positional=2, joint=2).tune(tuned, frames=FRAMES, words=16)
    names = tuned.state_dict().keys()
    assert "vision.layers.1.layer.layer.ln_1.weight" in names  # places around prompts around it
    assert "vision.layers.2.frame_position" in names
    assert "vision.layers.2.layer.prompts.value" in names
