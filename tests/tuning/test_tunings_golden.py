"""Tunings compute what the official codes compute, from the weights that those were given."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from golden_files import BLOCKS, FEATURES
from golden_tunings import (
    Golden,
    dgl_linear,
    dgl_transformer,
    mv_adapter,
    nothing,
    plevu,
    probe,
    vop,
)
from tempme.pooling import FirstPooling, MeanPooling
from tempme.retriever.retriever import Retriever
from tempme.tuning import DGL, PLEVU, DGLTransformer, Full, MVAdapter, VoP

LOGITS = {"atol": 2e-5, "rtol": 0}  # of up to 18; the references are 1.2e-5 from their own fp64
GRADIENTS = 1e-4
CASES = {
    "clip4clip_meanp": (Full(), nothing, MeanPooling()),
    "dgl_linear": (DGL(), dgl_linear, FirstPooling()),
    "dgl_transformer": (DGLTransformer(), dgl_transformer, FirstPooling()),
    "mv_down_in": (MVAdapter(width=16, factor=8, tied=3), mv_adapter, MeanPooling()),
    "mv_down_out": (MVAdapter(width=16, factor=8, tied=2, tie="out"), mv_adapter, MeanPooling()),
    "plevu": (PLEVU(temperature=0.07), plevu, MeanPooling(unit=False)),
    "vop_8_0": (VoP(), vop, MeanPooling()),
}
MASKED = ("clip4clip_meanp", "mv_down_in", "mv_down_out")
SCALED = [name for name in CASES if name not in ("plevu", "vop_8_0")]
every = pytest.mark.parametrize("name", CASES)


@cache
def golden(name: str) -> Golden:
    return Golden(name)


@cache
def built(name: str) -> Retriever:
    tuning, take, pooling = CASES[name]
    words = {"plevu": 45, "vop_8_0": 69}.get(name, 32)
    return golden(name).build(tuning, take=take, pooling=pooling, words=words)


def mask(name: str) -> Tensor | None:
    return golden(name).mask if name in MASKED else None


def pooled(name: str) -> Tensor:
    """Features of videos before they become unit vectors."""
    vision = built(name).backbone.vision
    tokens = vision.encode(vision.embed(golden(name).frames, mask(name)))
    raw = vision.relate(vision.project(tokens))
    return built(name).system.pooling(raw, mask(name))


@every
def test_the_count_of_what_learns(name: str) -> None:
    counted = golden(name).facts["trainable_count_tiny"]
    ours = built(name).system.trainable_parameters()
    assert ours == (sum(counted.values()) if isinstance(counted, dict) else counted)


@every
@torch.no_grad()
def test_features(name: str) -> None:
    g, retriever = golden(name), built(name)
    texts = retriever.backbone.text(g.ids)
    if name == "vop_8_0":  # whose reference is normalised
        texts = normalize(texts, dim=-1)
    torch.testing.assert_close(texts, g.tensors["text_feat"], **FEATURES)
    torch.testing.assert_close(pooled(name), g.tensors["video_feat"], **FEATURES)


@pytest.mark.parametrize("name", SCALED)
@torch.no_grad()
def test_similarity(name: str) -> None:
    g, retriever = golden(name), built(name)
    videos = retriever.encode_videos(g.frames, mask(name))
    logits = retriever.logits(retriever.encode_texts(g.ids), videos)
    torch.testing.assert_close(logits, g.tensors["sim_logits"], **LOGITS)


@torch.no_grad()
def test_plevu_divides_by_its_temperature() -> None:
    g, retriever = golden("plevu"), built("plevu")
    logits = retriever.logits(retriever.encode_texts(g.ids), retriever.encode_videos(g.frames))
    torch.testing.assert_close(logits.mT, g.tensors["logits_v2t"], **LOGITS)


@torch.no_grad()
def test_plevu_puts_words_between_rows_of_its_table() -> None:
    g, text = golden("plevu"), built("plevu").backbone.text
    tokens, ends = text.embed(g.ids)
    rows = g.tensors["prompted_text_embedding"] + text.position_embedding
    for own, theirs, end in zip(tokens.x_CND, rows, ends, strict=True):
        assert torch.equal(own[: end + 1], theirs[: end + 1])


@torch.no_grad()
def test_vop_scores_without_a_second_normalisation() -> None:
    g = golden("vop_8_0")
    scores = built("vop_8_0").encode_texts(g.ids) @ pooled("vop_8_0").mT
    torch.testing.assert_close(scores, g.tensors["score"], **FEATURES)


@torch.no_grad()
def test_vop_with_other_text_prompts_sees_the_same_videos() -> None:
    g = golden("vop_4_4")
    retriever = g.build(VoP(), take=vop, words=69)
    vision = retriever.backbone.vision
    frames = normalize(vision.project(vision.encode(vision.embed(g.frames))), dim=-1)
    torch.testing.assert_close(frames, g.tensors["frame_norm"], **FEATURES)


@pytest.mark.parametrize("name", ["dgl_linear", "dgl_transformer"])
@torch.no_grad()
def test_prompts_of_dgl(name: str) -> None:
    g, space = golden(name), built(name).backbone.space
    for block in range(12):
        prompts = space.visual(block), space.textual(block)
        wanted = g.tensors["visual_prompts"][block], g.tensors["text_prompts"][block][:4]
        for own, theirs in zip(prompts, wanted, strict=True):
            torch.testing.assert_close(own, theirs, atol=1e-5, rtol=1e-6)


@torch.no_grad()
def test_blocks_and_other_features_of_dgl() -> None:
    g, vision = golden("dgl_linear").tensors, built("dgl_linear").backbone.vision
    tokens = vision.embed(golden("dgl_linear").frames)
    for block, layer in enumerate(vision.layers):
        tokens = layer(tokens)
        if f"visual_block{block}.global.first" in g:
            torch.testing.assert_close(
                tokens.beside.video_VGD[0], g[f"visual_block{block}.global.first"], **BLOCKS
            )
        if f"visual_block{block}.frames.first" in g:
            frames = g[f"visual_block{block}.frames.first"]  # class token, 4 prompts, patches
            theirs = torch.cat([frames[:, :1], frames[:, 5:]], dim=1)
            torch.testing.assert_close(tokens.x_CND[[0, 11]], theirs, **BLOCKS)
    video = vision.project(tokens).mean(dim=1)
    torch.testing.assert_close(video, g["video_feat.average_global_prompt"], **FEATURES)
    frames = vision.project(tokens.with_video(None)).mean(dim=1)
    torch.testing.assert_close(frames, g["video_feat.average_frame_cls_token"], **FEATURES)


@torch.no_grad()
def test_frames_that_do_not_count_are_seen_by_none_in_mv_adapter() -> None:
    g, vision = golden("mv_down_in"), built("mv_down_in").backbone.vision
    seen: dict[str, Tensor] = {}
    hooks = []
    for block in (0, 11):
        adapter = vision.layers[block].adapter
        hooks.append(adapter.calibration.register_forward_hook(_keep(seen, f"alpha_c{block}")))
        hooks.append(adapter.block.register_forward_hook(_keep(seen, f"temporal_block{block}")))
    try:
        raw = vision.project(vision.encode(vision.embed(g.frames, g.mask)))
    finally:
        for hook in hooks:
            hook.remove()
    torch.testing.assert_close(raw, g.tensors["frame_raw"], **FEATURES)
    assert len(seen) == 4
    for name, value in seen.items():
        torch.testing.assert_close(value, g.tensors[name], **BLOCKS)


def _keep(seen: dict[str, Tensor], name: str) -> object:
    def keep(module: object, given: object, answer: object) -> None:  # noqa: ARG001
        seen[name] = getattr(answer, "x_CND", answer)

    return keep


@pytest.mark.parametrize("name", [name for name in CASES if name != "clip4clip_meanp"])
@pytest.mark.one_in(3)
def test_loss_and_gradients(name: str) -> None:
    g, retriever = golden(name), built(name)
    take = CASES[name][1]
    retriever.zero_grad()
    loss, wanted_loss = _loss(name)
    assert loss.item() == pytest.approx(wanted_loss, abs=2e-5)
    loss.backward()
    parameters = dict(retriever.backbone.named_parameters())
    numbers = {theirs: float(i) for i, theirs in enumerate(g.learnt)}
    shapes = {theirs: torch.full_like(v, numbers[theirs]) for theirs, v in g.learnt.items()}
    sources = {ours: float(value.flatten()[0]) for ours, value in take(shapes).items()}
    for theirs, facts in g.facts["grads"].items():
        if theirs not in numbers or "in_proj_bias" in theirs:  # keys' biases: rounding alone
            continue
        own = [o for o, number in sources.items() if number == numbers[theirs]]
        _assert_gradient([parameters[o] for o in own], facts, theirs)


def _loss(name: str) -> tuple[Tensor, float]:
    g, retriever = golden(name), built(name)
    texts, labels = retriever.encode_texts(g.ids), torch.arange(3)
    if name == "vop_8_0":  # the reference's own probe
        logits = texts @ pooled(name).mT * retriever.backbone.logit_scale.exp()
    else:
        logits = retriever.logits(texts, retriever.encode_videos(g.frames, mask(name)))
    if name == "plevu":
        return cross_entropy(logits.mT, labels), g.facts["loss_official_video_to_text"]
    loss = (cross_entropy(logits, labels) + cross_entropy(logits.mT, labels)) / 2
    return loss, g.facts.get("loss", g.facts["fp64"]["loss"])


def _assert_gradient(own: list[torch.nn.Parameter], facts: dict[str, float], theirs: str) -> None:
    if facts["exactly_zero"]:
        assert all(p.grad is None or not p.grad.any() for p in own), theirs
        return
    assert all(p.grad is not None for p in own), theirs
    gradients = [p.grad for p in own if p.grad is not None]
    norm = float(torch.stack([v.double().norm() for v in gradients]).norm())
    assert norm == pytest.approx(facts.get("norm_fp64", facts["norm"]), rel=GRADIENTS, abs=1e-6)
    is_in_its_order = len(own) == 1 and "mbedding" not in theirs
    if is_in_its_order and norm > 1e-4:
        assert probe(gradients[0]) == pytest.approx(facts["probe"], abs=GRADIENTS * norm), theirs


def test_gradients_of_plevus_table_reach_the_rows_that_texts_use() -> None:
    g, retriever = golden("plevu"), built("plevu")
    retriever.zero_grad()
    loss, _ = _loss("plevu")
    loss.backward()
    gradient = retriever.backbone.text.line.table.grad
    assert gradient is not None
    used = gradient.abs().sum(dim=1).nonzero().flatten().tolist()
    assert used == g.facts["embedding_rows_with_nonzero_grad"]
