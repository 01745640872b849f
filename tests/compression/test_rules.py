"""Rules that follow the content inside a whole retriever."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

import tempme
from counted import of_a_video
from golden_compression import followed
from learning import assert_exactly_what_learns_has_gradients, moved
from rules_material import RULES, TINY, build, pictures, through
from tempme.backbones.umt.config import UmtConfig
from tempme.compression import EVS, RLT, Aligned, Average, Compression, Keep, TempMe
from tempme.errors import BadSetting
from tempme.pooling import MeanPooling, TokenPooling
from tempme.retriever.retriever import Retriever
from tempme.schedule import total_tokens
from tempme.systems.system import System
from tempme.systems.table import PAPER, list_systems
from tempme.tuning import DGL, Full, LoRA, VoP

rules = pytest.mark.parametrize("method", RULES.values(), ids=RULES)


@rules
@pytest.mark.parametrize("frames", [1, 4, 6])
@torch.no_grad()
@pytest.mark.one_in(3)
def test_every_block_keeps_to_the_plan(method: Compression, frames: int) -> None:
    retriever = build(method, frames)
    plan, videos = retriever.system.plan(), 2
    rows, known = videos * frames * TINY.tokens, 0
    place = torch.arange(rows)
    for step, tokens in zip(plan, through(retriever, pictures(videos, frames)), strict=True):
        assert tokens.x_CND.shape[:2] == (videos * step.clips_out, step.tokens_out)
        assert tokens.num_protected == step.protected
        ends = followed(replace(tokens, moves=tokens.moves[known:]), rows)
        gone = step.clips * (step.pruned + step.after + step.unseen)
        assert int((ends < 0).sum()) == videos * gone
        rows, known = videos * step.clips_out * step.tokens_out, len(tokens.moves)
        assert len(ends[ends >= 0].unique()) == rows
        place = torch.where(place < 0, place, ends[place.clamp(min=0)])
        left = place[place >= 0]
        held = torch.zeros(rows).scatter_add(0, left, torch.ones(len(left)))
        assert torch.equal(tokens.sizes.flatten(), held)
    if not method.drops_patches:
        assert (place >= 0).all()


@pytest.mark.one_in(4)
@rules
@torch.no_grad()
def test_the_cost_is_what_runs(method: Compression) -> None:
    for frames in (1, 6):
        system = build(method, frames).system
        assert of_a_video(system) == round(system.cost().gmacs * 1e9)


@pytest.mark.parametrize(
    "method",
    [
        RLT(r=0, joins={}, keep=0.3),
        RLT(r=0, keep=0.6, keep_cross=1, keep_intra=1),
        RLT(r=0, keep=0.2, keep_cross=1, keep_intra=1, at_once=True),
        Average(),
        Aligned(r=0, keep_intra=1),
    ],
    ids=["rlt-share", "rlt-size", "rlt-size of all frames", "average", "aligned"],
)
@torch.no_grad()
def test_a_still_video_is_its_picture(method: Compression) -> None:
    """Equal patches that become one, and count by their number, change nothing at all."""
    picture = pictures(2, 1)
    still = picture.expand(2, 6, -1, -1, -1)
    alone = build(Keep(), 1).encode_videos(picture)
    torch.testing.assert_close(build(method, 6).encode_videos(still), alone, atol=2e-5, rtol=0)


@rules
@torch.no_grad()
@pytest.mark.one_in(3)
def test_still_and_flat_videos_are_finite_and_alike(method: Compression) -> None:
    retriever = build(method)
    still = pictures(2, 1).expand(2, 4, -1, -1, -1)
    flat = torch.zeros(1, 4, 3, TINY.image_size, TINY.image_size)
    for frames in (still, flat):
        features = retriever.encode_videos(frames)
        assert features.isfinite().all()
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(len(frames)))
        again = torch.cat([retriever.encode_videos(video[None]) for video in frames])
        torch.testing.assert_close(features, again, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", [EVS(r=0, joins={}, keep=1), RLT(r=0, joins={}, keep=1)])
@torch.no_grad()
def test_keeping_all_is_the_dense_model(method: Compression) -> None:
    frames = pictures(2, 4)
    dense = build(Keep()).encode_videos(frames)
    torch.testing.assert_close(build(method).encode_videos(frames), dense, atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_is_dropped_has_no_say_and_what_is_shared_has() -> None:
    """A patch that is not kept: changing it a little changes no feature. 49 and 2 patches stay."""
    frames = pictures(1, 1).expand(1, 4, -1, -1, -1).clone()
    frames[0, 2, :, :4, :4] += 5  # the only patch that changes, and changes back
    nudged = frames.clone()
    nudged[0, 3, :, 20:, 20:] += 1e-3
    for method in (EVS(r=0, joins={}, keep=0.2603), RLT(r=0, joins={}, keep=0.2603)):
        retriever = build(method)
        plain, moved_a_little = (retriever.encode_videos(x) for x in (frames, nudged))
        torch.testing.assert_close(plain, moved_a_little, atol=1e-6, rtol=0)


@rules
@pytest.mark.parametrize(
    ("image_size", "patch", "layers", "frames"), [(35, 7, 3, 6), (16, 16, 2, 4)]
)
@torch.no_grad()
@pytest.mark.one_in(3)
def test_any_size(
    method: Compression, image_size: int, patch: int, layers: int, frames: int
) -> None:
    odd = replace(TINY, image_size=image_size, patch=patch, layers=layers)
    system = System("x", LoRA(rank=2), method, backbone=odd, frames=frames, max_words=8)
    retriever = Retriever.build(system, None, seed=0)
    videos = torch.randn(2, frames, 3, image_size, image_size)
    features = retriever.encode_videos(videos)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    way = tempme.trace(retriever, videos)
    assert list(way.tokens) == [step.clips_out * step.tokens_out for step in system.plan()]


@rules
@pytest.mark.one_in(3)
def test_gradients_reach_what_learns(method: Compression) -> None:
    retriever = moved(build(method)).train()
    ids = torch.tensor([[5, 6, 7, 599], [8, 9, 599, 0]])
    features = retriever.encode_videos(pictures(2, 4))
    assert_exactly_what_learns_has_gradients(retriever, retriever.encode_texts(ids), features)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@rules
@torch.no_grad()
def test_one_graph_compiles(method: Compression) -> None:
    torch.compiler.reset()
    retriever, frames = build(method, layers=4), pictures(2, 4)
    vision = retriever.backbone.vision
    compiled = torch.compile(
        lambda x: vision.encode(vision.embed(x)), fullgraph=True, backend="eager"
    )
    wanted = vision.encode(vision.embed(frames))
    torch.testing.assert_close(compiled(frames).x_CND, wanted.x_CND)


# With tunings, and on a backbone without class tokens.

OF_BLOCKS = ("prompt", "adapter", "plevu", "vop", "mv-adapter", "clip4clip")


@pytest.mark.parametrize(("tuning", "rule"), [*product(OF_BLOCKS, RULES)])
@pytest.mark.one_in(15)
def test_tunings_that_meet_rules(tuning: str, rule: str) -> None:
    backbone = replace(TINY, text_layers=12, context=40)
    tuned = PAPER[tuning].tuning.fitted(backbone)
    pair = (tuned, RULES[rule], PAPER[tuning].pooling, backbone, 4, 8)
    if tuned.of_every_frame and "earlytom" in rule:
        with pytest.raises(BadSetting, match="merges whole frames, for which there is none"):
            System("x", *pair)
        return
    system = System("x", *pair)
    retriever = moved(Retriever.build(system, None, seed=0)).train()
    assert of_a_video(system) == round((system.cost().gmacs + system.cost().gmacs_prompts) * 1e9)
    features = retriever.encode_videos(pictures(2, 4))
    ids = torch.tensor([[5, 6, 7, 599], [8, 9, 599, 0]])
    assert_exactly_what_learns_has_gradients(retriever, retriever.encode_texts(ids), features)


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (DGL(), "an attention of its own over the tokens of a frame, but this compression puts"),
        (VoP(positional=4), "prompts that one frame sees, but this compression puts"),
        (VoP(contextual=4), "choose one that leaves each its own"),
        (VoP(joint=4), "joins or merges frames"),
    ],
)
def test_tunings_that_need_frames_by_themselves(tuning: object, said: str) -> None:
    for method in (EVS(), RLT(joins={})):
        with pytest.raises(BadSetting, match=said):
            System("x", tuning, method)  # type: ignore[arg-type]


UMT = UmtConfig(
    image_size=32, patch=8, width=32, layers=4, heads=2, text_width=32, text_layers=2,
    text_heads=2, embed=16, vocab=600, fusion_from=1, joint=False,
)  # fmt: skip


@rules
def test_without_class_tokens(method: Compression) -> None:
    system = System("x", Full(embeddings=True), method, TokenPooling(), UMT, frames=4, max_words=8)
    retriever = Retriever.build(system, None, seed=0)
    frames = torch.randn(2, 4, 3, 32, 32)
    features = retriever.encode_videos(frames)
    features[:, 0].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in retriever.backbone.parameters())
    torch.testing.assert_close(features.detach().norm(dim=1), torch.ones(2))
    joint = replace(UMT, joint=True)
    if not method.of_frames:
        assert total_tokens(replace(system, backbone=joint).plan()) < 4 * UMT.tokens
        return
    with pytest.raises(BadSetting, match="all frames are one clip from the start"):
        replace(system, backbone=joint)


def test_settings_that_cannot_be() -> None:
    for make, said in (
        (lambda: EVS(keep=0), r"evs\.keep is 0"),
        (lambda: RLT(keep=1.5), r"rlt\.keep is 1\.5"),
        (lambda: RLT(r=-1), r"rlt\.r is -1"),
        (lambda: EVS(apart=True), r"evs\.apart"),
        (lambda: Aligned(still=2), r"aligned\.still is 2"),
        (lambda: Average(joins={3: 5}).plan(tokens=50, frames=12, depth=12), "cannot be joined"),
        (lambda: EVS(joins={3: 5}).plan(tokens=50, frames=12, depth=12), "cannot be joined"),
    ):
        with pytest.raises(BadSetting, match=said):
            make()


def test_tokens_and_cost_written_out() -> None:
    """EVS: floor(keep x 2 x 49) patches of every two frames, 9 blocks; by hand of ViT-B/32."""
    assert {"evs", "rlt-share", "rlt-size", "tempme-evs", "tempme-rlt"} <= set(list_systems())
    plan = tempme.system("rlt-share").plan()
    assert [(s.clips, s.attended, s.apart) for s in plan] == [(1, 12 + 441, 12)] * 12
    assert plan[0].cross == 147
    plan = tempme.system("rlt-size").plan()
    assert [(s.clips, s.attended) for s in plan] == [(1, 12 + 441)] * 12
    assert [s.opens for s in plan] == [0] * 8 + [12, 0, 0, 0]
    plan = tempme.system("tempme-rlt").plan()
    assert [s.attended for s in plan] == [*range(75, 43, -4), 31, 40, 76, 69]
    assert [s.clips for s in plan] == [6] * 9 + [3, 1, 1]
    assert [s.opens for s in plan] == [0] * 8 + [2, 0, 0, 0]
    one = tempme.system("evs").cost().gmacs
    d, tokens = 768, 12 + 441
    block = 4 * tokens * d * d + 2 * 12 * 50 * 50 * d + 8 * tokens * d * d
    last = 2 * tokens * d * d + 10 * 12 * d * d + 2 * 12 * 50 * d
    edges = 12 * 49 * d * 3 * 32 * 32 + 12 * d * 512
    assert one == pytest.approx((11 * block + last + edges) / 1e9)
    assert total_tokens(tempme.system("tempme-average").plan()) == 12 + 49
    assert isinstance(tempme.system("evs").pooling, MeanPooling)
    assert TempMe() == tempme.system("tempme").compression
