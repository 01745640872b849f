"""EViT, DiffRate, STA and TESTA inside a whole retriever."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from compression_material import METHODS
from golden_compression import followed
from rules_material import TINY, build, pictures, through
from tempme.compression import COMPRESSIONS, STA, TESTA, Compression, EViT, ToMe

methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@methods
@pytest.mark.parametrize("frames", [1, 4, 7])
@pytest.mark.one_in(3)
def test_every_block_keeps_to_the_plan(method: Compression, frames: int) -> None:
    retriever = build(method, frames)
    plan, videos = retriever.system.plan(), 2
    rows = videos * frames * TINY.tokens
    place, moves = torch.arange(rows), 0
    for step, tokens in zip(plan, through(retriever, pictures(videos, frames)), strict=True):
        clips = videos * step.clips_out
        assert tokens.x_CND.shape[:2] == (clips, step.tokens_out)
        # Tokens of the block before: those it drops, and those it leaves.
        ends = followed(replace(tokens, moves=tokens.moves[moves:]), rows)
        lost = step.clips * (step.pruned + step.after) if method.drops_patches else 0
        assert int((ends < 0).sum()) == videos * lost  # what the plan says, and no more
        rows, moves = clips * step.tokens_out, len(tokens.moves)
        assert len(ends[ends >= 0].unique()) == rows
        place = torch.where(place < 0, place, ends[place.clamp(min=0)])
        if not method.drops_patches:
            held = torch.zeros(rows).scatter_add(0, place, torch.ones(len(place)))
            assert torch.equal(tokens.sizes.flatten(), held)


def test_frames_may_merge_in_the_last_block() -> None:
    retriever, frames = build(TESTA(frames_at=(11,), merge_frames=2)), pictures(2, 4)
    tokens = retriever.backbone.vision.encode(retriever.backbone.vision.embed(frames))
    assert tokens.clips_per_video == 3  # half at most, and one is protected
    assert retriever.encode_videos(frames).shape == (2, TINY.embed)


@methods
def test_identical_frames_and_flat_frames(method: Compression) -> None:
    retriever = build(method)
    same = pictures(2, 1).expand(2, 4, 3, TINY.image_size, TINY.image_size)
    flat = torch.zeros(1, 4, 3, TINY.image_size, TINY.image_size)
    for frames in (same, flat):
        features = retriever.encode_videos(frames)
        assert features.isfinite().all()
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(len(frames)))


def test_a_still_video_is_its_picture() -> None:
    """Merging equal frames changes nothing, and the feature weighs what is left."""
    picture = pictures(2, 1)
    still = picture.expand(2, 4, 3, TINY.image_size, TINY.image_size)
    moving, alone = (build(TESTA(merge_frames=1), frames) for frames in (4, 1))
    torch.testing.assert_close(
        moving.encode_videos(still), alone.encode_videos(picture), atol=1e-5, rtol=0
    )


def test_merged_frames_weigh_what_they_hold() -> None:
    retriever, frames = build(TESTA(merge_frames=1), 6), pictures(2, 6)
    vision = retriever.backbone.vision
    tokens = vision.encode(vision.embed(frames))
    weights = tokens.frame_weights()
    assert weights is not None
    assert weights.shape == (2, 3)
    assert weights.sum(dim=1).tolist() == [6, 6]
    unit = torch.nn.functional.normalize(vision.project(tokens), dim=-1)
    mean = (unit * weights[..., None]).sum(dim=1)
    expected = torch.nn.functional.normalize(mean, dim=-1)
    torch.testing.assert_close(retriever.encode_videos(frames), expected)
    everything = retriever.encode_videos(frames, torch.ones(2, 6))
    torch.testing.assert_close(everything, expected)


def test_a_mask_follows_merged_frames() -> None:
    retriever, frames = build(TESTA(merge_frames=1), 6), pictures(1, 6)
    vision = retriever.backbone.vision
    tokens = vision.encode(vision.embed(frames))
    slots = tokens.frame_slots_VF
    assert slots is not None
    unit = torch.nn.functional.normalize(vision.project(tokens)[0], dim=-1)
    for frame in range(6):
        mask = torch.zeros(1, 6)
        mask[0, frame] = 1
        only = retriever.encode_videos(frames, mask)[0]
        torch.testing.assert_close(only, unit[slots[0, frame]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@methods
@torch.no_grad()
def test_one_graph_compiles(method: Compression) -> None:
    torch.compiler.reset()
    retriever, frames = build(method, layers=4), pictures(2, 4)  # every kind of stage, once
    vision = retriever.backbone.vision
    compiled = torch.compile(vision.encode, fullgraph=True, backend="eager")
    tokens = vision.embed(frames)
    torch.testing.assert_close(compiled(tokens).x_CND, vision.encode(tokens).x_CND)


@methods
def test_gradients_reach_what_learns(method: Compression) -> None:
    retriever, frames = build(method), pictures(2, 4).requires_grad_()
    loss = retriever.encode_videos(frames) @ torch.randn(TINY.embed)
    loss.sum().backward()
    assert frames.grad is not None
    assert frames.grad.isfinite().all()
    assert (frames.grad.flatten(2).abs().sum(dim=-1) > 0).all()  # every frame has its say
    vision = retriever.backbone.vision
    learning = [p for p in vision.parameters() if p.requires_grad]
    assert learning
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_systems_without_sizes_keep_the_fast_kernel() -> None:
    frames = pictures(1, 4)
    for method in (STA(), EViT(fuse=False)):
        assert all(tokens.size_CN1 is None for tokens in through(build(method), frames))


def test_every_method_says_whether_it_drops() -> None:
    drops = {name: made().drops_patches for name, made in COMPRESSIONS.items()}
    assert drops == {
        "keep": False,
        "tome": False,
        "evit": False,
        "diffrate": True,
        "sta": True,
        "testa": False,
        "tempme": False,
        "aligned": False,
        "average": False,
        "evs": True,
        "rlt": False,
        "earlytom": False,
        "dtem": False,
        "pitome": False,
    }
    assert EViT(fuse=False).drops_patches


def test_testa_without_frames_is_tome() -> None:
    frames = pictures(2, 4)
    patches, tome = (
        build(method).encode_videos(frames)
        for method in (TESTA(merge_frames=0, proportional=True), ToMe())
    )
    assert torch.equal(patches, tome)
