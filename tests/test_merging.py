"""Matching and merging: by hand, against loops, against the reference, and what stays the same."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

import reference
from golden_files import GOLDEN
from tempme.errors import BadSetting
from tempme.merging import concatenate, fuse, join_clips, match, merge
from tempme.tokens import Tokens

CASES: list[dict[str, Any]] = json.loads((GOLDEN / "fn_merge.json").read_text())["cases"]
EAST, NORTH, NORTH_EAST = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]


def tokens_of(x: Tensor, protected: int = 1, size: Tensor | None = None) -> Tokens:
    return Tokens(x, size, clips_per_video=len(x), num_protected=protected)


def row(pairs: Tensor) -> list[int]:
    return pairs[0].tolist()


# By hand: a class token and four others. Those at odd places receive.


def test_four_tokens_by_hand() -> None:
    like = torch.tensor([[[9.0, 9.0], EAST, NORTH_EAST, NORTH, NORTH]])
    pairs = match(like, 1, 1)
    assert (row(pairs.kept), row(pairs.moved), row(pairs.target)) == ([0], [1], [1])
    # Tokens 2 and 4 may move, 1 and 3 receive: 4 and 3 are alike.
    x = torch.tensor([[[0.0], [1.0], [2.0], [3.0], [5.0]]])
    out = fuse(tokens_of(x), pairs)
    assert out.x_CND.flatten().tolist() == [0, 2, 1, 4]
    assert out.sizes.flatten().tolist() == [1, 1, 1, 2]
    assert row(pairs.assignment) == [0, 2, 1, 3, 3]
    assert row(pairs.sources) == [0, 2, 1, 3]


def test_both_movers_into_one_target_by_hand() -> None:
    like = torch.tensor([[[9.0, 9.0], NORTH, NORTH_EAST, EAST, EAST]])
    pairs = match(like, 2, 1)
    assert (row(pairs.kept), row(pairs.moved), row(pairs.target)) == ([], [1, 0], [1, 1])
    x = torch.tensor([[[0.0], [1.0], [2.0], [3.0], [10.0]]])
    size = torch.tensor([[[1.0], [1.0], [2.0], [1.0], [1.0]]])
    out = fuse(tokens_of(x, size=size), pairs)
    assert out.x_CND.flatten().tolist() == [0, 1, (2 * 2 + 3 + 10) / 4]
    assert out.sizes.flatten().tolist() == [1, 1, 4]


def test_two_class_tokens_shift_the_sets_by_hand() -> None:
    like = torch.tensor([[EAST, EAST, EAST, NORTH, NORTH_EAST, EAST]])
    pairs = match(like, 1, 2)  # 2 and 4 may move, 3 and 5 receive
    assert (row(pairs.kept), row(pairs.moved), row(pairs.target)) == ([1], [0], [1])
    assert row(pairs.assignment) == [0, 1, 4, 3, 2, 4]


def test_positions_come_between_matching_and_averaging() -> None:
    like = torch.tensor([[[9.0, 9.0], EAST, NORTH_EAST, NORTH, NORTH]])
    place = torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0])[None, :, None].expand(1, 5, 2)
    out = merge(tokens_of(like), 1, similar_by=like, adding=place)
    expected = [[19.0, 19.0], [30.8, 30.6], [21.0, 20.0], [45.0, 46.0]]
    torch.testing.assert_close(out.x_CND[0], torch.tensor(expected))


def test_joined_clips_by_hand() -> None:
    x = torch.arange(8.0).view(4, 2, 1)
    joined = join_clips(Tokens(x, x + 1, clips_per_video=4), 2)
    assert joined.x_CND[..., 0].tolist() == [[0, 2, 1, 3], [4, 6, 5, 7]]
    assert joined.sizes[..., 0].tolist() == [[1, 3, 2, 4], [5, 7, 6, 8]]
    assert (joined.clips_per_video, joined.num_protected) == (2, 2)
    whole = join_clips(joined, 2)
    assert whole.x_CND.flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert [move.ends.tolist() for move in whole.moves] == [
        [0, 2, 1, 3, 4, 6, 5, 7],
        [0, 1, 4, 5, 2, 3, 6, 7],
    ]
    with pytest.raises(BadSetting, match="4 clips cannot be joined by 3"):
        join_clips(Tokens(x, None, clips_per_video=4), 3)


# Against the official functions.


@cache
def official(case: str) -> dict[str, Tensor]:
    tensors = load_file(GOLDEN / "fn_merge.safetensors")
    return {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{case}.")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_equal_to_the_official_functions(case: dict[str, Any]) -> None:
    given, protected = official(case["case"]), case["cls_num"]
    pairs = match(given["metric"], case["r"], protected)
    # The reference counts the class tokens among the set that its sequence puts them in.
    assert torch.equal(pairs.moving, places(given["src_idx"], protected, moving=True))
    assert torch.equal(pairs._of_a(pairs.kept), places(given["unm_idx"], protected, moving=True))
    targets = pairs.num_protected + 1 - pairs.a_starts_at + 2 * pairs.target
    assert torch.equal(targets, places(given["dst_idx"], protected, moving=False))
    assert torch.equal(pairs.assignment, given["assignment"].long())
    for size, out, out_size in (
        (given["size"], "out", "out_size"),
        (None, "out_from_unit", "out_size_from_unit"),
    ):
        merged = fuse(tokens_of(given["x"], protected, size), pairs)
        torch.testing.assert_close(merged.x_CND, given[out], atol=2e-6, rtol=0)
        torch.testing.assert_close(merged.sizes, given[out_size], atol=0, rtol=0)


def places(index: Tensor, protected: int, *, moving: bool) -> Tensor:
    """Numbers within the even or odd free tokens -> places in the sequence."""
    first = protected + (protected % 2 == moving)
    return first + 2 * index.long()


# Against loops.


def sequences(max_tokens: int = 24) -> st.SearchStrategy[tuple[Tensor, int, int]]:
    """Tokens of whole numbers (so that ties are many and exact), r, and protected tokens."""

    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[Tensor, int, int]:
        protected = draw(st.integers(0, 5))
        free = draw(st.integers(2, max_tokens))
        numbers = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=2)
        x = torch.tensor(
            draw(st.lists(numbers, min_size=protected + free, max_size=protected + free))
        )
        movers = len([i for i in range(protected, protected + free) if i % 2 == 0])
        return x, draw(st.integers(0, movers)), protected

    return drawn()


@given(sequences())
@settings(deadline=None)
def test_equal_to_loops_with_ties_and_zeros(drawn: tuple[Tensor, int, int]) -> None:
    like, r, protected = drawn
    n = len(like)
    pairs = match(like[None], r, protected)
    found = reference.pairs(like.tolist(), r, protected)
    assert row(pairs.sources) == found.order
    assert row(pairs.moving) == list(found.into)
    assert row(pairs.assignment) == reference.assignment(found, n)
    size = torch.arange(1.0, n + 1)
    x = torch.randn(n, 3)
    out = fuse(tokens_of(x[None], protected, size[None, :, None]), pairs)
    expected, sizes = reference.merged(x, size, found)
    torch.testing.assert_close(out.x_CND[0], expected)
    assert out.sizes.flatten().tolist() == sizes.tolist()
    assert out.sizes.sum() == size.sum()


@given(seed=st.integers(0, 2**31), clips=st.integers(1, 4), n=st.integers(3, 30))
@settings(deadline=None, max_examples=40)
def test_gradients_are_those_of_loops(seed: int, clips: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, n, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    size = torch.randint(1, 9, (clips, n, 1), generator=generator).float()
    weight = torch.randn(clips, n, 4, generator=generator, dtype=torch.float64)
    r = (n - 1) // 2
    out = merge(tokens_of(x, 1, size), r, similar_by=x).x_CND
    (ours,) = torch.autograd.grad((out * weight[:, : n - r]).sum(), x)
    slow = torch.stack(
        [
            reference.merged(x[c], size[c, :, 0], reference.pairs(x[c].tolist(), r, 1))[0]
            for c in range(clips)
        ]
    )
    (theirs,) = torch.autograd.grad((slow * weight[:, : n - r]).sum(), x)
    torch.testing.assert_close(out, slow, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


# What stays the same.


def test_identical_tokens_merge_from_the_front() -> None:
    same = torch.ones(1, 13, 4)
    pairs = match(same, 3, 1)
    assert (row(pairs.moved), row(pairs.kept), row(pairs.target)) == (
        [0, 1, 2],
        [3, 4, 5],
        [0, 0, 0],
    )
    out = merge(tokens_of(same), 3, similar_by=same)
    assert torch.equal(out.x_CND, torch.ones(1, 10, 4))
    assert out.sizes.flatten().tolist() == [1, 1, 1, 1, 4, 1, 1, 1, 1, 1]


def test_zero_vectors_are_like_nothing() -> None:
    """The reference divides by zero there, and merges what is not a number."""
    like = torch.tensor([[[1.0, 1.0], EAST, [0.0, 0.0], EAST, EAST]])
    assert row(match(like, 1, 1).moved) == [1]


def test_nothing_to_merge_changes_nothing() -> None:
    tokens = tokens_of(torch.randn(2, 5, 4))
    assert merge(tokens, 0, similar_by=tokens.x_CND) is tokens
    assert tokens.size_CN1 is None


@pytest.mark.parametrize(("n", "protected", "most"), [(11, 1, 5), (11, 2, 5), (2, 1, 0), (3, 3, 0)])
def test_too_many_are_refused(n: int, protected: int, most: int) -> None:
    x = torch.randn(1, n, 4)
    assert len(merge(tokens_of(x, protected), most, similar_by=x)) == n - most
    for r in (most + 1, -1):
        with pytest.raises(BadSetting, match=f"cannot lose {r}: at most {most}"):
            match(x, r, protected)


@given(seed=st.integers(0, 2**31), n=st.integers(4, 40), protected=st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_half_precision_keeps_sizes_and_order(seed: int, n: int, protected: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, n + protected, 8, generator=generator).bfloat16()
    r = n // 2
    exact = merge(tokens_of(x.float(), protected), r, similar_by=x)
    half = merge(tokens_of(x, protected), r, similar_by=x)
    assert half.x_CND.dtype == torch.bfloat16
    assert half.sizes.dtype == torch.float32
    assert torch.equal(half.sizes, exact.sizes)
    torch.testing.assert_close(half.x_CND.float(), exact.x_CND, atol=0.05, rtol=0.02)


def test_autocast_does_not_round_the_matching() -> None:
    """Two candidates that differ by less than bfloat16 can tell."""
    like = torch.tensor([[[9.0, 9.0], [1.0, 0.001], EAST, [1.0, -0.002], [1.0, 0.0011]]])
    plain = match(like, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        cast = match(like, 1, 1)
    assert torch.equal(plain.moved, cast.moved)
    assert torch.equal(plain.target, cast.target)
    assert row(plain.moved) == [1]


@given(
    clips=st.integers(1, 6), n=st.integers(1, 9), k=st.integers(1, 4), protected=st.integers(0, 4)
)
def test_concatenation_loses_nothing(clips: int, n: int, k: int, protected: int) -> None:
    protected = min(protected, n)
    x = torch.arange(float(clips * k * n)).view(clips * k, n, 1)
    out = concatenate(x, k, protected)
    assert out.shape == (clips, k * n, 1)
    assert torch.equal(out.flatten().sort().values, x.flatten())
    assert torch.equal(out[:, : k * protected].flatten(), x[:, :protected].flatten())
