"""UMT where the official code cannot tell: what cannot be, and which compressions meet it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tempme.backbones.attention import FEW_KEYS, attention
from tempme.backbones.umt.config import UMT_BACKBONES, UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.vision import UmtVision, seen
from tempme.compression import COMPRESSIONS, Compression, TempMe, ToMe
from tempme.errors import BadSetting
from tempme.pooling import TokenMean

TINY = UmtConfig(
    image_size=64,
    width=16,
    layers=4,
    heads=2,
    text_width=16,
    text_layers=3,
    text_heads=2,
    fusion_from=2,
    embed=8,
    context=12,
    vocab=20,
    joint=False,
)
FRAMES = 4


def compressed(vision: UmtVision, compression: Compression) -> UmtVision:
    config = vision.config
    plan = compression.plan(tokens=config.tokens, frames=FRAMES, depth=config.layers, protected=0)
    vision.layers = nn.ModuleList(
        compression.wrap(layer, step, config.width)
        for layer, step in zip(vision.layers, plan, strict=True)
    )
    vision.witness = compression.witness() or vision.witness
    return vision.eval()  # in training some merge by a relaxation


OF_RULES = re.compile("clip_pos|metric")  # which not every plan, or training alone, makes use of


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressions_meet_frames_without_a_class_token_or_say_why_not(name: str) -> None:
    made = COMPRESSIONS[name]()
    if made.of_class_token:
        with pytest.raises(BadSetting, match=r"needs .*class token"):
            made.plan(tokens=TINY.tokens, frames=FRAMES, depth=TINY.layers, protected=0)
        return
    vision = compressed(UmtVision(TINY), made)
    tokens = vision.encode(vision.embed(torch.randn(2, FRAMES, 3, 64, 64)))
    plan = made.plan(tokens=TINY.tokens, frames=FRAMES, depth=TINY.layers, protected=0)
    assert tokens.clips_per_video == plan[-1].clips_out
    assert len(tokens) == plan[-1].tokens_out
    if not made.drops_patches:
        sizes = tokens.sizes.reshape(2, -1).sum(dim=1)
        assert sizes.tolist() == [FRAMES * TINY.tokens] * 2
    vision.project(tokens).sum().backward()
    assert all(p.grad is not None for n, p in vision.named_parameters() if not OF_RULES.search(n))


@torch.no_grad()
@pytest.mark.parametrize("joint", [False, True])
def test_frames_that_do_not_count_are_left_out_of_the_mean(joint: bool) -> None:
    vision = UmtVision(replace(TINY, joint=joint))
    videos, mask = torch.randn(1, FRAMES, 3, 64, 64), torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    tokens = vision.encode(vision.embed(videos, mask))
    whole = TokenMean(whole_video=True)
    x = seen(tokens).view(1, FRAMES, TINY.tokens, TINY.width)[:, [0, 1, 3]].flatten(1, 2)
    wanted = vision.ln_pool(x.mean(dim=1, keepdim=True))
    torch.testing.assert_close(vision.pool(tokens, whole, mask), wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_merging_nothing_changes_nothing() -> None:
    torch.manual_seed(1)
    plain = UmtVision(TINY)
    videos = torch.randn(2, FRAMES, 3, 64, 64)
    wanted = plain.project(plain.encode(plain.embed(videos)))
    other = compressed(plain, ToMe(r=0))
    assert torch.equal(other.project(other.encode(other.embed(videos))), wanted)


@torch.no_grad()
def test_one_video_for_many_texts_is_as_each_its_own() -> None:
    model = Umt(TINY)
    ids = torch.randint(1, 20, (3, 5))
    words = model.text.read(model.text.embed(ids))
    video = seen(model.encode_videos(torch.randn(1, FRAMES, 3, 64, 64)))
    together = model.fits(words, video)
    torch.testing.assert_close(together, model.fits(words, video.expand(3, -1, -1)))


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    model = Umt(TINY)
    ids = torch.tensor([[2, 7, 8]])
    longer = torch.tensor([[2, 7, 8, 0, 0, 0]])
    torch.testing.assert_close(model.text(ids), model.text(longer))


@torch.no_grad()
def test_joint_attention_of_one_frame_is_that_of_the_frame() -> None:
    torch.manual_seed(1)
    apart = Umt(TINY)
    joint = Umt(replace(TINY, joint=True))
    joint.load_state_dict(apart.state_dict())
    one = torch.randn(2, 1, 3, 64, 64)
    wanted = apart.vision.project(apart.encode_videos(one))
    torch.testing.assert_close(joint.vision.project(joint.encode_videos(one)), wanted)


def test_frames_that_meet_nowhere_are_known() -> None:
    assert UmtVision(TINY).frame_layers == TINY.layers
    assert UmtVision(replace(TINY, joint=True)).frame_layers == 0
    joining = TempMe(r=1, joins={2: 4})
    assert compressed(UmtVision(TINY), joining).frame_layers == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 15}, "not a multiple of patch"),
        ({"heads": 3}, "multiple of heads"),
        ({"layers": 0}, "layers is 0; it is 1 or more"),
        ({"fusion_from": -1}, "fusion_from is -1; it is 0 or more"),
        ({"fusion_from": 3}, "text layers are 0 to 2"),
        ({"trained_frames": 0}, "trained_frames is 0"),
        ({"width": 15, "heads": 1}, "positions are pairs"),
        ({"std": (0.0, 1.0, 1.0)}, "divided by"),
    ],
)
def test_sizes_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        replace(TINY, **change)


def test_inputs_that_cannot_be() -> None:
    model = Umt(TINY)
    with pytest.raises(BadSetting, match="64 pixels a side"):
        model.encode_videos(torch.zeros(1, 2, 3, 32, 32))
    with pytest.raises(BadSetting, match="text encoder sees 12"):
        model.text(torch.ones(1, 13, dtype=torch.int64))
    words = model.text.embed(torch.ones(1, 3, dtype=torch.int64))
    with pytest.raises(BadSetting, match="looks at a video"):
        model.text.layers[-1](words)


def test_published_sizes() -> None:
    with torch.device("meta"):
        vision = UmtVision(UMT_BACKBONES["UMT-B/16"])
    pooled = sum(p.numel() for n, p in vision.named_parameters() if "projection" not in n)
    assert pooled == 85_638_912  # of the official encoder with its pooling norm


def kernels_of(joint: bool, frames: int) -> set[str]:
    """The attention kernels that run over a video of so many frames of 16 patches."""
    config = replace(TINY, joint=joint)
    vision = UmtVision(config)
    pixels = torch.randn(1, frames, 3, config.image_size, config.image_size)
    with profile(activities=[ProfilerActivity.CPU]) as seen_by, torch.no_grad():
        vision.encode(vision.embed(pixels))
    return {one.key for one in seen_by.key_averages() if "attention" in one.key}


@pytest.mark.parametrize("joint", [True, False])
def test_attention_is_the_fused_kernel(joint: bool) -> None:
    fused = kernels_of(joint, 4)
    assert any("flash_attention" in name for name in fused), fused


def test_many_keys_are_not_spelled_out_to_learn() -> None:
    """Their scores would be much to hold on the way back."""
    for count, way_back in ((FEW_KEYS, "_Recomputed"), (FEW_KEYS + 1, "FlashAttention")):
        q = torch.randn(1, 2, count, 4, requires_grad=True)
        made_by = attention(q, q, q, None, causal=False).grad_fn
        assert made_by is not None
        assert way_back in made_by.name()
