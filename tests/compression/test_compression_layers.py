"""Single layers of EViT, DiffRate, STA and TESTA: against loops, and at their edges."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import reference_compression as reference
from compression_material import quick
from golden_compression import followed
from tempme.backbones.layers import Block, Cues
from tempme.compression import Compression, DiffRate, EViT
from tempme.compression.sta import survivors
from tempme.compression.testa import match_frames, merge_frames
from tempme.schedule import Step
from tempme.tokens import Tokens

WIDTH = 8
kinds = st.sampled_from(["any", "tied", "zero"])


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


def test_what_is_fused_still_learns() -> None:
    """The attention that weighs dropped patches is part of the function."""
    (step,) = EViT(at=(0,), keep=0.3).plan(tokens=9, frames=1, depth=1)
    layer = layer_of(EViT(at=(0,), keep=0.3), step)
    q, k = torch.randn(1, 2, 9, 4).requires_grad_(), torch.randn(1, 2, 9, 4)
    out = layer.reduce(Tokens(torch.randn(1, 9, WIDTH), None, 1), Cues(q, k, None))
    (gradient,) = torch.autograd.grad(out.x_CND.sum(), q)
    assert gradient[:, :, 0].abs().sum() > 0  # the class token's query
    assert gradient[:, :, 1:].abs().sum() == 0
