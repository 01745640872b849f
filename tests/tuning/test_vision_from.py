"""`vision_from`: image blocks before it stay those of CLIP, whatever tuning sits in the others."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import tempme
from learning import assert_exactly_what_learns_has_gradients, moved
from tempme.backbones.layers import Block
from tempme.compression import TESTA, Compression, DiffRate, EViT, Keep, TempMe, ToMe
from tempme.errors import BadSetting
from tempme.pooling import FirstPooling
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.tokens import Tokens
from tempme.training.batches import Begun
from tempme.training.begun import begin, encode_begun, frozen_layers
from tempme.tuning import (
    DGL,
    RAP,
    TUNINGS,
    Adapter,
    DeepTuning,
    DGLTransformer,
    Full,
    LoRA,
    MVAdapter,
    Prompt,
    VoP,
)
from tiny_systems import TINY, texts, videos

FIRST, WORDS = 8, 8
DEEP: dict[str, DeepTuning] = {
    "full": Full(),
    "lora": LoRA(),
    "prompt": Prompt(),
    "adapter": Adapter(),
    "vop": VoP(),
    "vop-p": VoP(positional=4),
    "vop-c": VoP(contextual=4),
    "vop-f": VoP(joint=4),
    "vop-fp": VoP(positional=4, joint=2),
    "vop-fc": VoP(contextual=4, joint=2),
    "dgl": DGL(),
    "dgl-transformer": DGLTransformer(),
    "mv-adapter": MVAdapter(),
    "mv-adapter-all-tied": MVAdapter(tied=4),
    "rap": RAP(warped=4),
}
# Systems whose first blocks see one frame at a time, as far as the compression goes.
BESIDE: dict[str, Compression] = {
    "tome": ToMe(),
    "evit": EViT(),
    "diffrate": DiffRate(),
    "tempme": TempMe(),
    "testa": TESTA(frames_at=(9,)),
}
every_tuning = pytest.mark.parametrize("name", DEEP)


def row(name: str, first: int = FIRST, compression: Compression | None = None) -> System:
    made = System(name, replace(DEEP[name], vision_from=first), compression or Keep(), frames=12)
    pooled = replace(made, pooling=FirstPooling()) if isinstance(made.tuning, DGL) else made
    return replace(pooled, backbone=TINY, max_words=WORDS)


@cache
def tuned(name: str) -> Retriever:
    return moved(Retriever.build(row(name), None, seed=0))


def kept_by_a_pool(begun: Tokens) -> Tokens:
    """Tokens of two videos, by way of all that a pool keeps of them."""
    return Begun.of(begun).tokens()


def test_every_tuning_of_image_blocks_has_it() -> None:
    assert {type(tuning) for tuning in DEEP.values()} == set(TUNINGS.values()) - {zoo.PLEVU}


@every_tuning
def test_blocks_before_it_are_those_of_clip(name: str) -> None:
    vision = tuned(name).backbone.vision
    plain = Retriever.build(zoo.system("clip4clip", backbone=TINY), None, seed=0).backbone.vision
    for own, layer in zip(vision.layers[:FIRST], plain.layers, strict=False):
        while not isinstance(own, Block):  # what compressions put around
            own = own.layer
        state = own.state_dict()
        assert state.keys() == layer.state_dict().keys()
        for key, value in layer.state_dict().items():
            assert torch.equal(state[key], value), key
        assert not any(p.requires_grad for p in own.parameters())
    assert frozen_layers(tuned(name)) == FIRST


@every_tuning
@torch.no_grad()
def test_frozen_blocks_once_then_the_others(name: str) -> None:
    retriever, frames = tuned(name), videos()
    kept = kept_by_a_pool(begin(retriever, frames))
    assert_close(encode_begun(retriever, kept), retriever.encode_videos(frames), atol=1e-6, rtol=0)


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("name", ["prompt", "adapter", "lora", "vop"])
@torch.no_grad()
@pytest.mark.one_in(3)
def test_frozen_blocks_that_lose_tokens(name: str, beside: str) -> None:
    retriever, frames = (
        moved(Retriever.build(row(name, compression=BESIDE[beside]), None, seed=0)),
        videos(),
    )
    assert frozen_layers(retriever) == FIRST
    kept = kept_by_a_pool(begin(retriever, frames))
    assert_close(encode_begun(retriever, kept), retriever.encode_videos(frames), atol=1e-6, rtol=0)


@every_tuning
@pytest.mark.one_in(6)
def test_all_that_learns_receives_a_gradient(name: str) -> None:
    retriever = tuned(name)
    retriever.zero_grad()
    begun = begin(retriever, videos())
    features, words = encode_begun(retriever, begun), retriever.encode_texts(texts())
    assert_exactly_what_learns_has_gradients(retriever, words, features)
    # Texts learn in all their blocks.
    for block in retriever.backbone.text.layers[1:]:
        has_own = any(p.requires_grad for p in block.parameters())
        assert has_own or isinstance(retriever.system.tuning, DGL)


@every_tuning
@torch.no_grad()
@pytest.mark.one_in(3)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    retriever, frames = tuned(name), videos()
    again = tempme.load(retriever.save(tmp_path / name))
    assert again.system == retriever.system
    assert again.fingerprint == retriever.fingerprint
    assert torch.equal(again.encode_videos(frames), retriever.encode_videos(frames))
    assert torch.equal(again.encode_texts(texts()), retriever.encode_texts(texts()))
    learning = [n for n, p in retriever.named_parameters() if p.requires_grad]
    assert [n for n, p in again.named_parameters() if p.requires_grad] == learning


@every_tuning
@torch.no_grad()
@pytest.mark.one_in(3)
def test_folding_and_windows_change_nothing(name: str) -> None:
    retriever, frames = tuned(name), videos(1, frames=14)[0]
    windows = torch.stack([torch.arange(12), torch.arange(2, 14)])
    ready = retriever.for_inference("fp32")
    features = retriever.encode_videos(frames[windows])
    assert_close(ready.encode_windows(frames, windows), features, atol=2e-6, rtol=0)


@every_tuning
def test_it_costs_less_or_the_same(name: str) -> None:
    """Every block that is not tuned saves the same; without a tuned one, it is the bare cost."""
    costs = [row(name, first).cost() for first in (0, 4, FIRST)]
    bare = row("lora").cost()
    for counted in ("gmacs", "gflops_paper", "gmacs_prompts"):
        whole, half, late = (getattr(cost, counted) for cost in costs)
        assert whole >= half >= late >= getattr(bare, counted)
    if name not in ("full", "lora", "rap"):
        assert costs[0].gmacs > costs[1].gmacs > costs[2].gmacs > bare.gmacs
    if name in ("prompt", "adapter", "vop", "dgl"):
        per_block = row(name, 11).cost().gflops_paper - bare.gflops_paper
        for first, cost in zip((0, 4, FIRST), costs, strict=True):
            more = cost.gflops_paper - bare.gflops_paper
            assert more == pytest.approx((12 - first) * per_block, rel=1e-6)
        # As it runs, the last block costs less than the others.
        assert costs[0].gmacs - costs[1].gmacs == pytest.approx(costs[1].gmacs - costs[2].gmacs)


def test_prompts_are_made_where_a_tower_asks_for_them() -> None:
    """Contextual ones in the tuned blocks; a table's rows for tuned image blocks and all texts."""
    whole, late = (row("vop-c", first).cost().gmacs_prompts for first in (0, FIRST))
    assert late == pytest.approx(whole * 4 / 12)
    short = replace(TINY, text_layers=3)
    made = [
        replace(row("dgl-transformer", first), backbone=short).cost().gmacs_prompts
        for first in (0, 1, 3, 4, FIRST)
    ]
    assert made[0] == made[1] == made[2] > made[3] > made[4]


@torch.no_grad()
def test_images_can_stay_as_they_are() -> None:
    retriever, frames = moved(Retriever.build(row("lora", 12), None, seed=0)), videos()
    assert frozen_layers(retriever) == 12
    features = encode_begun(retriever, begin(retriever, frames))
    assert_close(features, retriever.encode_videos(frames), atol=1e-6, rtol=0)
    plain = Retriever.build(zoo.system("clip4clip", backbone=TINY), None, seed=0)
    assert_close(features, plain.encode_videos(frames), atol=1e-6, rtol=0)
    plevu = Retriever.build(zoo.system("plevu", backbone=TINY), None, seed=0)
    features = encode_begun(plevu, begin(plevu, frames))
    assert_close(features, plevu.encode_videos(frames), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["vop", "mv-adapter"])
def test_what_learns_before_the_first_block_cannot_be_computed_once(name: str) -> None:
    retriever = moved(Retriever.build(row(name, 0), None, seed=0))
    assert frozen_layers(retriever) == 0
    with pytest.raises(BadSetting, match=r"vision_from = 1 or more.*data.pool = 0"):
        begin(retriever, videos())


@every_tuning
@pytest.mark.parametrize("first", [-1, 13])
def test_blocks_that_are_not_there(name: str, first: int) -> None:
    kind = type(DEEP[name]).__name__
    with pytest.raises(
        BadSetting, match=rf"{kind} .*block {first} on, .*12 image blocks.*up to 12"
    ):
        row(name, first)


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (VoP(joint=5, vision_from=8), "joint to 4 or less, or vop.vision_from to 7 or less"),
        (VoP(contextual=4, joint=4, vision_from=8), "vop.contextual 4, but .* apart in no tuned"),
        (VoP(positional=4, vision_from=12), "vop.positional is 4 .* apart in no tuned"),
        (DGL(vision_from=12), "set it to 11 or less"),
        (MVAdapter(tied=5, vision_from=8), "only 4 image blocks .*vision_from to 7 or less"),
        (RAP(vision_from=8), "rap.warped to 4 or less, or rap.vision_from to 6 or less"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value)),
)
def test_settings_that_reach_before_it(tuning: DeepTuning, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        System("x", tuning, Keep(), backbone=TINY, max_words=WORDS)
