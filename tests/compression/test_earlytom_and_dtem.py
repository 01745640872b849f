"""EarlyTom and DTEM: single layers against loops, and what DTEM does while it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import reference
import reference_rules as rules
from compression_material import quick
from golden_compression import followed
from rules_material import TINY, build, pictures
from tempme.backbones.layers import Block, Cues
from tempme.compression import DTEM, EarlyTom, ToMe
from tempme.compression.dtem import LEAST, METRIC, TEMPERATURE, Decoupled, shares, soften
from tempme.compression.earlytom import Segmented, segments
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tokens import Tokens

WIDTH = 8


def close(a: Tensor, b: object) -> None:
    torch.testing.assert_close(a.double(), torch.as_tensor(np.array(b)), atol=2e-5, rtol=1e-4)


@quick
@given(frames=st.integers(2, 7), n=st.integers(1, 5), data=st.data(), still=st.booleans())
def test_segments_against_loops(frames: int, n: int, data: st.DataObject, still: bool) -> None:
    r = data.draw(st.integers(1, frames - 1))
    x = torch.ones(2 * frames, n, WIDTH) if still else torch.randn(2 * frames, n, WIDTH)
    sizes = torch.randint(1, 4, (2 * frames, n, 1)).float()
    step = Step(clips=frames, attended=n, merged_clips=r)
    layer = Segmented(Block(WIDTH, 2, "gelu"), step)
    out = layer.reduce(Tokens(x, sizes, frames), Cues(x, x, None))
    assert out.clips_per_video == frames - r
    slots = out.frame_slots_VF
    assert slots is not None
    for video in range(2):
        own, weight = x.view(2, frames, n, WIDTH)[video], sizes.view(2, frames, n)[video]
        wanted = rules.segments(own.double().tolist(), r)
        assert [[t for t in range(frames) if slots[video, t] == s] for s in range(frames - r)] == (
            wanted
        )
        for number, members in enumerate(wanted):
            for i in range(n):
                total = sum(float(weight[t, i]) for t in members)
                mean = sum(float(weight[t, i]) * own[t, i].double() for t in members) / total
                close(out.x_CND.view(2, -1, n, WIDTH)[video, number, i], mean.numpy())
                assert out.sizes.view(2, -1, n)[video, number, i] == total


def test_equal_frames_merge_in_order() -> None:
    pairs = segments(torch.ones(1, 5, 3, 4), 2)
    assert (pairs.sources.tolist(), pairs.moving.tolist()) == ([[0, 3, 4]], [[1, 2]])


@torch.no_grad()
def test_a_still_video_is_its_picture_and_frames_weigh_what_they_hold() -> None:
    picture = pictures(2, 1)
    alone = build(EarlyTom(), 1).encode_videos(picture)
    moving = build(EarlyTom(keep=0.4), 6)
    still = moving.encode_videos(picture.expand(2, 6, -1, -1, -1))
    torch.testing.assert_close(still, alone, atol=1e-5, rtol=0)
    cut = torch.cat([picture.expand(2, 5, -1, -1, -1), pictures(2, 1)], dim=1)
    tokens = moving.backbone.vision.encode(moving.backbone.vision.embed(cut))
    weights = tokens.frame_weights()
    assert weights is not None
    assert weights.tolist() == [[5, 1], [5, 1]]  # cut where the picture changes


@torch.no_grad()
def test_frames_may_merge_in_the_last_block() -> None:
    retriever, frames = build(EarlyTom(keep=0.4, at=(2, 11)), 6), pictures(2, 6)
    vision = retriever.backbone.vision
    tokens = vision.encode(vision.embed(frames))
    assert tokens.clips_per_video == retriever.system.plan()[-1].clips_out == 2
    assert retriever.encode_videos(frames).shape == (2, TINY.embed)


def test_frames_written_out() -> None:
    plan = EarlyTom().plan(tokens=50, frames=12, depth=12)
    assert [step.clips for step in plan] == [12] * 5 + [8] * 4 + [6] * 3
    plan = EarlyTom(keep=0.01).plan(tokens=50, frames=12, depth=12)
    assert [step.clips_out for step in plan] == [12] * 4 + [1] * 8
    for make, said in (
        (lambda: EarlyTom(keep=0), r"earlytom\.keep is 0"),
        (lambda: EarlyTom(at=(12,)).plan(tokens=5, frames=2, depth=12), "blocks are 0 to 11"),
        (lambda: DTEM(r=-1), r"dtem\.r is -1"),
        (lambda: DTEM(nearest=0), r"dtem\.nearest 0"),
    ):
        with pytest.raises(BadSetting, match=said):
            make()


@quick
@given(a=st.integers(1, 7), b=st.integers(1, 7), data=st.data(), tied=st.booleans())
def test_shares_against_loops(a: int, b: int, data: st.DataObject, tied: bool) -> None:
    r, nearest = data.draw(st.integers(1, a)), data.draw(st.integers(1, b if tied else 4))
    alike = torch.ones(2, a, b) if tied else 2 * torch.rand(2, a, b) - 1
    alike = alike.double()  # what is left of a token is a small difference, times 100
    nearest = b if tied else nearest  # among equals any may be the nearest
    found = shares(alike, r, nearest=nearest)
    for clip in range(2):
        close(
            found[clip],
            rules.soft_shares(alike[clip].double().tolist(), r, nearest, TEMPERATURE),
        )
    assert found.sum(dim=-1).max() <= 1 + 1e-5


@quick
@given(n=st.integers(3, 12), more=st.integers(0, 3), led=st.integers(0, 2), data=st.data())
def test_relaxed_merging_against_loops(n: int, more: int, led: int, data: st.DataObject) -> None:
    r = data.draw(st.integers(1, n // 2))
    x, metric = torch.randn(2, led + n + more, WIDTH), torch.randn(2, led + n + more, 5)
    sizes = 0.2 + 2 * torch.rand(2, led + n + more, 1)
    step = Step(clips=1, attended=led + n, intra=r, protected=led)
    out = soften(Tokens(x, sizes, 1, led), metric, step, nearest=3)
    torch.testing.assert_close(out.sizes.sum(dim=1), sizes.sum(dim=1), atol=1e-4, rtol=0)
    ends = followed(out, 2 * len(out)).view(2, -1)
    first = led % 2
    for clip in range(2):
        free = range(led, led + n)
        set_a, set_b = free[first::2], free[1 - first :: 2]
        alike = [
            [rules.cosine(metric[clip, i].tolist(), metric[clip, j].tolist()) for j in set_b]
            for i in set_a
        ]
        share = rules.soft_shares(alike, r, 3, TEMPERATURE)
        weight, rows = sizes[clip, :, 0].double(), x[clip].double()
        wanted = {}
        for i, token in enumerate(set_a):
            wanted[token] = (rows[token], max(float(weight[token] * (1 - share[i].sum())), LEAST))
        for j, token in enumerate(set_b):
            total = weight[token] + sum(share[i, j] * weight[t] for i, t in enumerate(set_a))
            moved = sum(share[i, j] * weight[t] * rows[t] for i, t in enumerate(set_a))
            wanted[token] = ((weight[token] * rows[token] + moved) / total, float(total))
        for token in range(len(out)):
            row = int(ends[clip, token]) - clip * len(out)
            mean, held = wanted.get(token, (rows[token], float(weight[token])))
            torch.testing.assert_close(out.x_CND[clip, row].double(), mean, atol=5e-3, rtol=1e-3)
            assert float(out.sizes[clip, row, 0]) == pytest.approx(held, abs=5e-3)
        assert out.sizes[clip, led : led + n, 0].diff().max() <= 0  # most is left of the first
        assert sorted(ends[clip, :led].tolist()) == list(
            range(clip * len(out), clip * len(out) + led)
        )


@torch.no_grad()
def test_it_merges_by_its_metric() -> None:
    """Held to loops over tokens of the normed input, mapped."""
    (step,) = DTEM(r=3).plan(tokens=9, frames=2, depth=1)
    block = Block(WIDTH, 2, "gelu")
    layer = DTEM(r=3).wrap(block, step, WIDTH).eval()
    assert isinstance(layer, Decoupled)
    x = torch.randn(2, 9, WIDTH)
    out, _ = layer.attend(Tokens(x, None, 2))
    seen, _ = block.attend(Tokens(x, None, 2))
    metric = layer.metric(torch.nn.functional.layer_norm(x, (WIDTH,)))
    for frame in range(2):
        pairs = reference.pairs(metric[frame].tolist(), 3, 1)
        wanted, sizes = reference.merged(seen.x_CND[frame], torch.ones(9), pairs)
        close(out.x_CND[frame], wanted.double().numpy())
        close(out.sizes[frame, :, 0], sizes.double().numpy())


def test_gradients_of_shares_and_none_through_the_metric() -> None:
    """Against differences, where no token goes more than whole."""
    alike = (0.01 * torch.rand(1, 6, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shares(x, 2, nearest=3), (alike,), atol=1e-4)
    step = Step(clips=1, attended=9, intra=2)
    layer = Decoupled(Block(WIDTH, 2, "gelu"), step, WIDTH, nearest=3).train()
    x = torch.randn(1, 9, WIDTH, requires_grad=True)
    layer.layer.requires_grad_(False)
    plain = Tokens(x, None, 1)
    layer(plain).x_CND.square().sum().backward()
    assert layer.metric.weight.grad is not None
    assert layer.metric.weight.grad.abs().sum() > 0
    with torch.no_grad():  # a metric that tells nothing apart: merging is then linear in x
        layer.metric.weight.zero_()
        layer.metric.bias.fill_(1.0)
    (gradient,) = torch.autograd.grad(layer(plain).x_CND.sum(), x)
    assert gradient.isfinite().all()


def test_training_keeps_the_length_and_evaluation_the_plan() -> None:
    retriever = build(DTEM(r=3))
    vision, frames = retriever.backbone.vision, pictures(2, 4)
    plan = retriever.system.plan()
    learning = [name for name, _ in retriever.named_parameters() if ".metric." in name]
    assert len(learning) == 2 * 11  # none in the last block
    tokens = vision.embed(frames)
    retriever.train()
    for step, layer in zip(plan, vision.layers, strict=True):
        tokens = layer(tokens)
        assert len(tokens) == TINY.tokens - (step.intra if step is plan[-1] else 0)
        torch.testing.assert_close(tokens.sizes.sum(), torch.tensor(8.0 * TINY.tokens))
    features = retriever.encode_videos(frames)
    features[:, 0].sum().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for n, p in retriever.named_parameters()
        if n in learning
    )
    retriever.eval()
    with torch.no_grad():
        assert not torch.allclose(retriever.encode_videos(frames), features, atol=1e-6)


def test_cost_and_parameters() -> None:
    dtem, tome = build(DTEM(r=2)).system, build(ToMe(r=2)).system
    more = dtem.trainable_parameters() - tome.trainable_parameters()
    assert more == 11 * (TINY.width * METRIC + METRIC)
    real = [replace(system, backbone="ViT-B/32").cost().gmacs for system in (dtem, tome)]
    tokens = sum(50 - 2 * block for block in range(11))
    assert real[0] - real[1] == pytest.approx(4 * tokens * 768 * METRIC / 1e9)
