"""The encoder computes what the official implementation computes, through the public door."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

import tempme
from golden_files import BLOCKS, FEATURES, GOLDEN
from golden_models import COMPRESSIONS, JOINS, Golden
from tempme.compression import Keep, TempMe
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.retriever import Retriever
from tempme.retriever.tracing import Trace, trace
from tempme.training.losses import contrastive_loss
from tempme.weights.tempme_release import split_official

LOGITS = {"atol": 1e-5, "rtol": 1.2e-7}  # and the rounding of the logit itself
GRADIENTS = 1e-5  # of the norm of the gradient

all_configurations = pytest.mark.parametrize("name", COMPRESSIONS)
merging = pytest.mark.parametrize("name", [n for n in COMPRESSIONS if n != "E_dense"])


@cache
def golden(name: str) -> Golden:
    return Golden(name)


@cache
def built(name: str) -> Retriever:
    return golden(name).build()


@cache
def traced(name: str) -> Trace:
    return trace(built(name), golden(name).frames)


@all_configurations
def test_plan(name: str) -> None:
    for step, official in zip(built(name).system.plan(), golden(name).facts["layers"], strict=True):
        assert official["out_shape"][1] == step.tokens_out == official["token_num"]
        assert official["attn_shape"][1] == step.attended
        assert official["cls_num"] == step.protected
        assert official["frame_num"] == step.clips
        assert [n for n in official["M_token_num"] if n] == [
            n for n in (step.cross, step.intra) if n
        ]


@all_configurations
@torch.no_grad()
def test_blocks(name: str) -> None:
    g, vision = golden(name), built(name).backbone.vision
    tokens = vision.embed(g.frames)
    for block, (layer, official) in enumerate(zip(vision.layers, g.facts["layers"], strict=True)):
        tokens = layer(tokens)
        assert list(tokens.x_CND.shape) == official["out_shape"]
        first = g.tensors.get(f"block{block}.first")
        if first is not None:
            torch.testing.assert_close(tokens.x_CND[: len(first)], first, **BLOCKS)
        probe = official["out_all"]["l2"]
        assert tokens.x_CND.double().norm().item() == pytest.approx(probe, rel=1e-6)
        sizes = official["size_first_video"]
        if sizes and tokens.size_CN1 is not None:
            assert tokens.size_CN1[0, : len(sizes), 0].tolist() == sizes
    torch.testing.assert_close(tokens.x_CND, g.tensors["last_block"], **BLOCKS)
    if "size" in g.tensors:
        assert torch.equal(tokens.sizes[..., 0], g.tensors["size"])


@merging
def test_assignment_of_every_patch(name: str) -> None:
    expected = golden(name).tensors["assignment"].long()
    way = traced(name)
    if name == "E_tome":  # frames stay apart: the reference counts the tokens of each
        frames, per_frame = way.frames, way.tokens[-1] // way.frames
        expected = expected.unflatten(0, (-1, frames)) + per_frame * torch.arange(frames)[:, None]
        expected = expected.flatten(1)
    assert torch.equal(way.assignment, expected)
    sizes = golden(name).tensors["size"].long()
    assert torch.equal(way.sizes(), sizes.view(len(way.assignment), -1))


@all_configurations
def test_trace_of_every_block(name: str) -> None:
    way = traced(name)
    plan = built(name).system.plan()
    assert way.tokens == tuple(step.clips * step.tokens_out for step in plan)
    for block, tokens in enumerate(way.tokens):
        places = way.after_blocks[block]
        assert places.min() == 0
        assert places.max() == tokens - 1
        assert way.sizes(block).sum(1).eq(12 * built(name).system.config.tokens).all()
    assert way.by_frame().shape[1:] == (12, built(name).system.config.tokens - 1)


@all_configurations
@torch.no_grad()
def test_features_and_logits(name: str) -> None:
    g, retriever = golden(name), built(name)
    tokens = retriever.backbone.vision.embed(g.frames)
    raw = retriever.backbone.vision.project(retriever.backbone.vision.encode(tokens))
    torch.testing.assert_close(raw, g.tensors["frame_raw"], **FEATURES | {"atol": 4e-6})
    torch.testing.assert_close(normalize(raw, dim=-1), g.tensors["frame_norm"], **FEATURES)
    pooled = retriever.system.pooling(raw)
    torch.testing.assert_close(pooled, g.tensors["video_feat"], **FEATURES)
    torch.testing.assert_close(retriever.backbone.text(g.ids), g.tensors["text_feat"], **FEATURES)
    videos, texts = retriever.encode_videos(g.frames), retriever.encode_texts(g.ids)
    torch.testing.assert_close(videos, normalize(g.tensors["video_feat"], dim=-1), **FEATURES)
    torch.testing.assert_close(texts, normalize(g.tensors["text_feat"], dim=-1), **FEATURES)
    logits = retriever.logits(texts, videos)
    torch.testing.assert_close(logits, g.tensors["sim_logits"], **LOGITS)
    truth = torch.tensor(g.facts["fp64"]["sim_logits"])
    torch.testing.assert_close(logits, truth, **LOGITS)


@pytest.mark.parametrize("name", ["A", "B", "E_dense"])
def test_loss_and_gradients(name: str) -> None:
    g, retriever = golden(name), built(name)
    retriever.zero_grad()
    texts, videos = retriever.encode_texts(g.ids), retriever.encode_videos(g.frames)
    logits = retriever.logits(texts, videos)
    labels = torch.arange(g.num_videos)
    loss = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
    assert loss.item() == pytest.approx(g.facts["loss"], abs=1e-5)
    loss.backward()
    expected = split_official(g.gradients())
    clip = retriever.backbone
    assert len(expected.lora) == 14
    for (tower, block), pair in expected.lora.items():
        layers = clip.vision.layers if tower == "visual" else clip.text.layers
        qkv = getattr(layers[block], "layer", layers[block]).attn.qkv
        for given, wanted in zip((qkv.down.weight, qkv.up.weight), pair, strict=True):
            assert_near(given.grad, wanted, f"{tower} {block}")
    assert list(expected.positions) == ([] if name == "E_dense" else list(JOINS))
    for block, wanted in expected.positions.items():
        assert_near(clip.vision.layers[block].clip_position.grad, wanted, f"position {block}")
    learning = [p for p in retriever.parameters() if p.requires_grad]
    assert len(learning) == len(g.gradients())


def assert_near(given: Tensor | None, wanted: Tensor, where: str) -> None:
    assert given is not None, where
    assert (given - wanted).norm() <= GRADIENTS * wanted.norm(), where


@torch.no_grad()
def test_frames_can_be_masked() -> None:
    g, retriever = golden("E_dense"), built("E_dense")
    valid = torch.tensor([7, 1, 0])
    mask = torch.arange(12) < valid[:, None]
    by_hand = torch.stack(
        [
            normalize(g.tensors["frame_norm"][0, :7].mean(0), dim=0),
            g.tensors["frame_norm"][1, 0],
            torch.zeros(32),  # the reference divides by zero
        ]
    )
    torch.testing.assert_close(retriever.encode_videos(g.frames, mask), by_hand, **FEATURES)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@torch.no_grad()
def test_files_of_the_official_release(suffix: str, tmp_path: Path) -> None:
    g, path = golden("A1"), tmp_path / f"official.{suffix}"
    if suffix == "pt":
        torch.save(g.state, path)
    else:
        save_file(g.state, path)
    read = tempme.from_official(path, compression=COMPRESSIONS["A1"], frames=12)
    assert read.num_frames == 12
    assert torch.equal(read.encode_videos(g.frames), built("A1").encode_videos(g.frames))
    assert read.fingerprint == built("A1").fingerprint


@torch.no_grad()
def test_the_papers_settings_are_the_default() -> None:
    for name in ("A", "B"):
        plain = tempme.from_official(golden(name).state)
        assert plain.system.plan() == built(name).system.plan()
        assert plain.num_frames == 12
    g = golden("A1")
    again = tempme.from_official(g.state).encode_videos(g.frames)
    assert torch.equal(again, built("A1").encode_videos(g.frames))


@torch.no_grad()
def test_plain_openai_names() -> None:
    state = load_file(GOLDEN / "base_p32.safetensors")
    plain = tempme.from_official(state, compression=Keep(), frames=3)
    assert plain.num_frames == 3
    # A CLIP under `clip.` alone is CLIP4Clip's way, too: nothing of TempMe is in it.
    with pytest.raises(BadWeights, match="nothing of TempMe"):
        tempme.from_official({f"clip.{name}": value for name, value in state.items()})


def test_wrong_numbers_of_frames_name_the_right_ones() -> None:
    g = golden("A1")
    with pytest.raises(BadSetting, match=r"10 frames cannot be joined by 2-2-3.* multiple of 12"):
        tempme.from_official(g.state, compression=COMPRESSIONS["A"], frames=10)
    with pytest.raises(BadSetting, match="such as 12 or 24"):
        TempMe(joins=JOINS).plan(tokens=50, frames=23, depth=12)
    with pytest.raises(BadWeights, match="12"):
        tempme.from_official(g.state, frames=24)
    with pytest.raises(BadSetting, match="videos of 6 frames, but tempme sees 12"):
        built("A1").encode_videos(g.frames[:, :6])


def test_the_loss_is_that_of_the_reference() -> None:
    g = golden("A")
    texts, videos = (normalize(g.tensors[key], dim=-1) for key in ("text_feat", "video_feat"))
    loss = contrastive_loss(texts, videos, torch.tensor(4.0))
    assert loss.item() == pytest.approx(g.facts["loss"], abs=1e-5)
