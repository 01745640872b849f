"""Token counts are integers that can be written out, checked and refused before any tensor."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempme.errors import BadSetting
from tempme.schedule import Step, check_blocks, default_joins, schedule, stages, total_tokens

depths = st.integers(1, 24)


def test_a_plan_written_out() -> None:
    plan = schedule(tokens=5, frames=4, depth=3, r=1, joins={1: 2, 2: 2}, keep_cross=0.75)
    assert plan == (
        Step(clips=4, join=1, cross=0, intra=1, attended=5, protected=1),
        Step(clips=2, join=2, cross=2, intra=0, attended=6, protected=2),
        Step(clips=1, join=2, cross=3, intra=0, attended=9, protected=4),
    )


def test_at_most_half_of_the_free_tokens_merge() -> None:
    plan = schedule(tokens=8, frames=1, depth=5, r=100)
    assert [step.tokens_out for step in plan] == [5, 3, 2, 2, 2]


def test_shares_are_decimal() -> None:
    """1 - 0.7 is more than 0.3 in binary; six of twenty tokens leave all the same."""
    (step,) = schedule(tokens=10, frames=2, depth=1, joins={0: 2}, keep_cross=0.7)
    assert step.cross == 6


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 12, 24])
def test_every_number_of_frames_has_a_plan(depth: int) -> None:
    for frames in range(1, 129):
        joins = default_joins(frames, depth=depth)
        assert prod(joins.values()) == frames
        assert list(joins) == sorted(joins)
        assert all(k > 1 for k in joins.values())
        plan = schedule(tokens=50, frames=frames, depth=depth, joins=joins, r=2, keep_intra=0.9)
        assert (plan[-1].clips, plan[-1].protected) == (1, frames)
        assert total_tokens(plan) == plan[-1].tokens_out


def test_the_papers_joins_are_the_default() -> None:
    assert default_joins(12) == {8: 2, 9: 2, 10: 3}
    assert default_joins(64) == {8: 4, 9: 4, 10: 4}
    assert default_joins(12, depth=24) == {20: 2, 21: 2, 22: 3}
    assert default_joins(13) == {10: 13}
    assert default_joins(6) == {9: 2, 10: 3}
    assert default_joins(1) == {}
    assert default_joins(12, depth=1) == {0: 12}
    assert default_joins(12, depth=2) == {0: 12}
    assert default_joins(12, halves=True) == {8: 2, 9: 3, 10: 2}
    assert default_joins(8, halves=True) == {8: 2, 9: 2, 10: 2}
    assert default_joins(4, halves=True) == {9: 2, 10: 2}
    assert default_joins(2, halves=True) == {10: 2}
    assert default_joins(9, halves=True) == default_joins(9)
    assert default_joins(12, depth=2, halves=True) == default_joins(12, depth=2)
    assert default_joins(12, depth=3) == {0: 3, 1: 4}


@given(
    tokens=st.integers(1, 300),
    frames=st.integers(1, 128),
    depth=depths,
    r=st.integers(0, 40),
    keep_cross=st.floats(0.01, 1),
    keep_intra=st.floats(0.01, 1),
)
def test_plans_add_up(
    tokens: int, frames: int, depth: int, r: int, keep_cross: float, keep_intra: float
) -> None:
    joins = default_joins(frames, depth=depth)
    plan = schedule(
        tokens=tokens,
        frames=frames,
        depth=depth,
        r=r,
        joins=joins,
        keep_cross=keep_cross,
        keep_intra=keep_intra,
    )
    assert len(plan) == depth
    before, clips, protected = tokens, frames, 1
    for step in plan:
        joined = before * step.join
        protected *= step.join
        assert step.clips * step.join == clips
        assert step.protected == protected
        assert step.attended == joined - step.cross
        assert step.tokens_out == step.attended - step.intra
        assert 0 <= step.cross <= (joined - protected) // 2
        assert 0 <= step.intra <= (step.attended - protected) // 2
        assert step.tokens_out >= protected
        before, clips = step.tokens_out, step.clips


@given(frames=st.integers(1, 200), factors=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_only_multiples_are_joined_and_the_error_names_them(
    frames: int, factors: list[int]
) -> None:
    joins, whole = dict(enumerate(factors)), prod(factors)
    if frames % whole == 0:
        plan = schedule(tokens=5, frames=frames, depth=4, joins=joins)
        assert plan[-1].clips == frames // whole
        return
    with pytest.raises(BadSetting, match=rf"{frames} frames .*multiple of {whole}") as caught:
        schedule(tokens=5, frames=frames, depth=4, joins=joins)
    named = str(caught.value).partition("such as ")[2].partition(",")[0].split(" or ")
    assert all(int(n) % whole == 0 and int(n) > 0 for n in named)
    assert any(abs(int(n) - frames) < whole for n in named)


@pytest.mark.parametrize(
    ("joins", "frames", "says"),
    [
        ({12: 2}, 12, "joins name block 12, but the blocks are 0 to 11"),
        ({-1: 2}, 12, "joins name block -1"),
        ({3: 0}, 12, "every join takes 1 clip or more"),
        ({3: 1}, 0, "frames is 0; a video has at least 1"),
        ({8: 2, 9: 2, 10: 3}, 9, "multiple of 12, such as 12"),
        ({8: 2, 9: 2, 10: 3}, 25, "such as 24 or 36"),
    ],
)
def test_plans_that_cannot_be(joins: dict[int, int], frames: int, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        schedule(tokens=50, frames=frames, depth=12, joins=joins)


def test_no_frames_have_no_joins() -> None:
    with pytest.raises(BadSetting, match="frames is 0"):
        default_joins(0)


@pytest.mark.parametrize(
    ("depth", "parts", "begin"),
    [(12, 4, (0, 3, 6, 9)), (12, 1, (0,)), (7, 3, (0, 2, 4)), (2, 4, (0, 1))],
)
def test_equal_parts_of_the_depth(depth: int, parts: int, begin: tuple[int, ...]) -> None:
    assert stages(depth, parts) == begin


def test_blocks_that_a_setting_lists_exist() -> None:
    check_blocks("reduce_at", (0, 11), 12)
    check_blocks("reduce_at", (), 12)
    with pytest.raises(BadSetting, match=r"^reduce_at has block 12, but the blocks are 0 to 11$"):
        check_blocks("reduce_at", (3, 12), 12)
    with pytest.raises(BadSetting, match="block -1"):
        check_blocks("reduce_at", (-1,), 12)


def test_without_settings_nothing_leaves() -> None:
    for joins in ({}, {1: 2, 2: 3}):
        plan = schedule(tokens=50, frames=6, depth=4, joins=joins)
        assert {(step.cross, step.intra) for step in plan} == {(0, 0)}
        assert total_tokens(plan) == 300
        assert all(type(step.clips) is int for step in plan)


def test_a_refusal_names_the_joins_and_the_two_nearest_multiples() -> None:
    with pytest.raises(BadSetting) as refused:
        schedule(tokens=50, frames=23, depth=12, joins={8: 2, 9: 2, 10: 3})
    assert str(refused.value) == (
        "23 frames cannot be joined by 2-2-3: use a multiple of 12, such as 12 or 24, or other "
        "joins (schedule.default_joins(23, depth=12) has a plan)"
    )
