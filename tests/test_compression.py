"""EViT, DiffRate, STA and TESTA: against loops, at their edges, and inside a whole retriever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import reference_compression as reference
import torch
from golden_compression import followed
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tempme
from tempme.clip.config import ClipConfig
from tempme.clip.layers import Block, Cues
from tempme.compression import COMPRESSIONS, STA, TESTA, Compression, DiffRate, EViT, ToMe
from tempme.compression.sta import survivors
from tempme.compression.testa import match_frames, merge_frames
from tempme.errors import BadSetting
from tempme.retriever import Retriever
from tempme.schedule import Step, total_tokens
from tempme.tokens import Tokens
from tempme.tuning import LoRA
from tempme.zoo import System

WIDTH = 8
TINY = ClipConfig(
    image_size=28, patch=4, width=32, layers=12, heads=2, text_width=16, text_layers=1,
    text_heads=2, embed=16, vocab=600,
)  # fmt: skip
METHODS: dict[str, Compression] = {
    "evit": EViT(),
    "evit that drops": EViT(fuse=False),
    "diffrate": DiffRate(),
    "sta": STA(),
    "testa": TESTA(),
    "testa of frames": TESTA(r=0, merge_frames=3),
    "proportional testa": TESTA(proportional=True),
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def layer_of(method: Compression, step: Step) -> Any:
    return method.wrap(Block(WIDTH, 2, "gelu"), step, WIDTH)


def drawn(kind: str, *shape: int) -> Tensor:
    """Numbers without ties, or few directions of exact length so that ties abound, or nothing."""
    if kind == "any":
        return torch.randn(*shape)
    if kind == "tied":
        which = torch.randint(0, 3, shape[:-1])
        return torch.nn.functional.one_hot(which, shape[-1]).float()
    return torch.zeros(*shape)


kinds = st.sampled_from(["any", "tied", "zero"])
quick = settings(max_examples=40, deadline=None)


def cues(kind: str, frames: int, n: int) -> Cues:
    q, k = drawn(kind, frames, 2, n, WIDTH // 2), drawn(kind, frames, 2, n, WIDTH // 2)
    k[:, 1], q[:, 1] = k[:, 0], q[:, 0]  # equal heads keep ties exact
    return Cues(q, k, None)


def attention_of(seen: Cues, frame: int) -> list[float]:
    q, k = seen.q[frame, :, 0].double().tolist(), seen.k[frame].double().tolist()
    return reference.class_attention(q, k, [0.0] * seen.k.shape[2])


def close(a: Tensor, b: object) -> None:
    torch.testing.assert_close(a.double(), torch.tensor(b).double(), atol=1e-5, rtol=1e-5)


def held_of(tokens: Tokens, clips: int, n: int) -> list[list[list[int]]]:
    """The tokens of before that every token holds, ascending."""
    place = followed(tokens, clips * n).view(clips, n)
    rows = range(len(tokens))
    return [
        [[i for i in range(n) if place[c, i] == c * len(tokens) + row] for row in rows]
        for c in range(clips)
    ]


@quick
@given(n=st.integers(2, 20), keep=st.floats(0.05, 1.0), fuse=st.booleans(), kind=kinds)
def test_evit_against_loops(n: int, keep: float, fuse: bool, kind: str) -> None:
    method = EViT(keep=keep, at=(0,), fuse=fuse)
    (step,) = method.plan(tokens=n, frames=2, depth=1)
    x, seen = torch.randn(2, n, WIDTH), cues(kind, 2, n)
    out = layer_of(method, step).reduce(Tokens(x, None, 2), seen)
    assert len(out) == step.tokens_out
    if step.pruned == 0:
        assert torch.equal(out.x_CND, x)
        return
    for frame in range(2):
        expected = reference.evit(x[frame].tolist(), attention_of(seen, frame), keep, fuse=fuse)
        close(out.x_CND[frame], expected.rows)
        close(out.sizes[frame, :, 0], expected.sizes)
        assert held_of(out, 2, n)[frame] == [sorted(tokens) for tokens in expected.held]


@quick
@given(n=st.integers(4, 16), data=st.data(), kind=kinds, same=st.booleans())
def test_diffrate_against_loops(n: int, data: st.DataObject, kind: str, same: bool) -> None:
    prune = data.draw(st.integers(2, n + 2))
    merge = data.draw(st.integers(2, n + 2))
    method = DiffRate((prune,), (merge,))
    (step,) = method.plan(tokens=n, frames=2, depth=1)
    x, seen = drawn("tied" if same else "any", 2, n, WIDTH), cues(kind, 2, n)
    sizes = torch.randint(1, 4, (2, n, 1)).float()
    out = layer_of(method, step).reduce(Tokens(x, sizes, 2), seen)
    assert len(out) == step.tokens_out == min(n, prune, merge)
    if step.intra == 0:
        assert torch.equal(out.x_CND, x)
        return
    for frame in range(2):
        expected = reference.diffrate(
            x[frame].tolist(), sizes[frame, :, 0].tolist(), attention_of(seen, frame), prune, merge
        )
        close(out.x_CND[frame], expected.rows)
        close(out.sizes[frame, :, 0], [max(size, 1e-6) for size in expected.sizes])
        assert held_of(out, 2, n)[frame] == [sorted(tokens) for tokens in expected.held]


@quick
@given(
    n=st.integers(2, 12), frames=st.integers(1, 5), data=st.data(), kind=kinds, back=st.booleans()
)
def test_sta_against_loops(n: int, frames: int, data: st.DataObject, kind: str, back: bool) -> None:
    drop = data.draw(st.integers(0, n // 2))
    x, keys = torch.randn(2, frames, n, WIDTH), drawn(kind, 2, frames, n, WIDTH)
    kept = survivors(x, keys, drop=drop, backward=back)
    assert kept.shape == (2, frames, n - drop)
    for video in range(2):
        expected = reference.sta(
            x[video].double().tolist(), keys[video].double().tolist(), drop, backward=back
        )
        ours = kept[video].tolist()
        if kind == "any" or frames == 1:
            assert ours == expected
        else:  # sums of equal numbers in another order are not equal to the last bit
            assert [len(set(frame)) for frame in ours] == [len(frame) for frame in expected]


@quick
@given(n=st.integers(1, 6), frames=st.integers(2, 7), data=st.data(), kind=kinds)
def test_testa_against_loops(n: int, frames: int, data: st.DataObject, kind: str) -> None:
    r = data.draw(st.integers(1, frames // 2))
    x, keys = torch.randn(2 * frames, n, WIDTH), drawn(kind, 2 * frames, n, 4)
    sizes = torch.randint(1, 4, (2 * frames, n, 1)).float()
    out, merged_keys = merge_frames(Tokens(x, sizes, frames), keys, r)
    by_video = [v.unflatten(0, (2, frames)) for v in (x, sizes.squeeze(-1), keys)]
    left = [v.unflatten(0, (2, frames - r)) for v in (out.x_CND, out.sizes.squeeze(-1))]
    weights = out.frame_weights()
    assert weights is not None
    for video in range(2):
        rows, weight, key = (v[video].double().tolist() for v in by_video)
        order, into = reference.testa_frames(key, r)
        wanted, total = reference.testa_merge(rows, weight, order, into)
        close(left[0][video], wanted)
        close(left[1][video], total)
        close(
            merged_keys.unflatten(0, (2, frames - r))[video],
            reference.testa_merge(key, weight, order, into)[0],
        )
        counted = [1 + sum(b == frame for b in into.values()) for frame in order]
        assert weights[video].tolist() == counted
    assert out.clips_per_video == frames - r


def test_equal_frames_merge_in_order() -> None:
    """All edges are as strong, all votes as many: the first frames into the first odd one."""
    pairs = match_frames(torch.ones(1, 6, 3, 4), 2)
    assert (pairs.moved.tolist(), pairs.target.tolist()) == ([[0, 1]], [[0, 0]])
    assert pairs.sources.tolist() == [[4, 1, 3, 5]]


def test_a_size_never_becomes_negative() -> None:
    """Two tokens opposite to their only target: the official size would be -1."""
    x = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]])
    method = DiffRate((4,), (2,))
    (step,) = method.plan(tokens=4, frames=1, depth=1)
    out = layer_of(method, step).reduce(Tokens(x, None, 1), Cues(x[:, None], x[:, None], None))
    assert out.sizes.min() > 0
    assert out.sizes.log().isfinite().all()


# Plans


def test_tokens_of_every_block() -> None:
    def tokens(name: str, backbone: str) -> list[int]:
        return [step.tokens_out for step in tempme.system(name, backbone=backbone).plan()]

    assert tokens("evit", "ViT-B/32") == [50] * 3 + [37] * 3 + [28] * 3 + [21] * 3
    assert tokens("evit", "ViT-B/16") == [197] * 3 + [140] * 3 + [100] * 3 + [72] * 3
    assert tokens("diffrate", "ViT-B/32") == [50, 48, 45, 41, 37, 33, 31, 29, 26, 22, 20, 20]
    released = [197, 192, 178, 164, 150, 133, 115, 101, 96, 82, 49, 49]
    assert tokens("diffrate", "ViT-B/16") == released
    assert tokens("sta", "ViT-B/32") == [40] * 4 + [31] * 4 + [22] * 4
    assert tokens("testa", "ViT-B/32") == list(range(48, 24, -2))
    clips = [step.clips_out for step in tempme.system("testa").plan()]
    assert clips == [12] * 3 + [11] * 3 + [10] * 3 + [9] * 3


@pytest.mark.parametrize(
    ("name", "backbone", "frames", "tokens", "gflops"),
    [
        ("evit", "ViT-B/32", 12, 12 * 21, 37.2),
        ("diffrate", "ViT-B/32", 12, 12 * 20, 36.8),
        ("diffrate", "ViT-B/32", 64, 64 * 20, 190.1),
        ("diffrate", "ViT-B/16", 12, 12 * 49, 138.5),
        ("sta", "ViT-B/32", 12, 12 * 22, 35.7),
        ("testa", "ViT-B/32", 12, 9 * 26, 36.3),
        ("evit", "ViT-B/16", 12, 12 * 72, 139.7),
    ],
)
def test_what_the_paper_prints(
    name: str, backbone: str, frames: int, tokens: int, gflops: float
) -> None:
    system = tempme.system(name, backbone=backbone, frames=frames)
    assert total_tokens(system.plan()) == tokens
    assert system.cost().gflops_paper == pytest.approx(gflops, abs=0.1)


def test_deciding_is_counted() -> None:
    """By hand for ViT-B/32, in multiply-adds that only the true figure has."""
    key, width = 64, 768

    def deciding(method: Compression) -> int:
        system = System("x", LoRA(), method)
        silent = [replace(step, dots=replace_dots(step)) for step in system.plan()]
        difference = system.cost().gmacs - tempme.cost.cost(silent, system.config).gmacs
        return round(difference * 1e9)

    assert deciding(EViT(at=(3,))) == 12 * 50 * width
    assert deciding(STA(r=(10,), at=(0,))) == (24 * 25 + 11 * 49 * 49) * key
    assert deciding(TESTA(r=0, frames_at=(0,))) == 50 * 6 * 6 * key
    assert deciding(TESTA(merge_frames=0, at=(0,))) == 12 * 24 * 25 * key
    rates = DiffRate((45, *[50] * 11), (40, *[50] * 11))
    assert deciding(rates) == 12 * (50 + 5 * 39) * width


def replace_dots(step: Step) -> Any:
    return None if step.dots is None else step.dots._replace(tokens=0, keys=0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EViT(keep=0), "evit.keep is 0"),
        (lambda: EViT(keep=1.5), "up to 1"),
        (lambda: EViT(at=(12,)).plan(tokens=50, frames=1, depth=12), "blocks are 0 to 11"),
        (lambda: DiffRate(prune=(50,)), "both, or neither"),
        (lambda: DiffRate((50, 49), (50,)), "one for every block"),
        (lambda: DiffRate((1,), (2,)), "fewest are 2"),
        (lambda: DiffRate((9,), (9,)).plan(tokens=50, frames=1, depth=12), "for 1 blocks"),
        (lambda: STA(r=()), "sta.r"),
        (lambda: STA(r=(3, -1)), "0 or more"),
        (lambda: STA(r=(3,), at=(0, 4)), "sta.at has 2 blocks"),
        (lambda: TESTA(r=-1), "testa.r is -1"),
        (lambda: TESTA(frames_at=(30,)).plan(tokens=50, frames=9, depth=12), "testa.frames_at"),
    ],
)
def test_settings_that_cannot_be(make: Any, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        make()


@quick
@given(
    tokens=st.integers(2, 300),
    frames=st.integers(1, 70),
    depth=st.integers(1, 30),
    method=st.sampled_from(list(METHODS.values())),
)
def test_any_size_has_a_plan(tokens: int, frames: int, depth: int, method: Compression) -> None:
    plan = method.plan(tokens=tokens, frames=frames, depth=depth)
    assert len(plan) == depth
    n, clips = tokens, frames
    for step in plan:
        assert (step.clips, step.attended) == (clips, n)
        assert step.tokens_out == n - step.intra - step.after >= 2
        n, clips = step.tokens_out, step.clips_out
        assert clips >= 1


# Inside a retriever


def build(method: Compression, frames: int = 4, *, layers: int = 12) -> Retriever:
    backbone = replace(TINY, layers=layers)
    return System("x", LoRA(rank=2), method, backbone=backbone, frames=frames, max_words=8).build(
        seed=1
    )


def pictures(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, TINY.image_size, TINY.image_size)


def through(retriever: Retriever, frames: Tensor) -> list[Tokens]:
    """Tokens after every block, each run whole."""
    tokens, after = retriever.clip.vision.embed(frames), []
    for layer in retriever.clip.vision.layers:
        tokens = layer(tokens)
        after.append(tokens)
    return after


@methods
@pytest.mark.parametrize("frames", [1, 4, 7])
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
    tokens = retriever.clip.vision.encode(retriever.clip.vision.embed(frames))
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
    vision = retriever.clip.vision
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
    vision = retriever.clip.vision
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
    vision = retriever.clip.vision
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
    vision = retriever.clip.vision
    learning = [p for p in vision.parameters() if p.requires_grad]
    assert learning
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_what_is_fused_still_learns() -> None:
    """The attention that weighs dropped patches is part of the function."""
    (step,) = EViT(at=(0,), keep=0.3).plan(tokens=9, frames=1, depth=1)
    layer = layer_of(EViT(at=(0,), keep=0.3), step)
    q, k = torch.randn(1, 2, 9, 4).requires_grad_(), torch.randn(1, 2, 9, 4)
    out = layer.reduce(Tokens(torch.randn(1, 9, WIDTH), None, 1), Cues(q, k, None))
    (gradient,) = torch.autograd.grad(out.x_CND.sum(), q)
    assert gradient[:, :, 0].abs().sum() > 0  # the class token's query
    assert gradient[:, :, 1:].abs().sum() == 0


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
    }
    assert EViT(fuse=False).drops_patches


def test_testa_without_frames_is_tome() -> None:
    frames = pictures(2, 4)
    patches, tome = (
        build(method).encode_videos(frames)
        for method in (TESTA(merge_frames=0, proportional=True), ToMe())
    )
    assert torch.equal(patches, tome)
