"""Overlapping windows share frames, and clips that have joined, where a clip is itself anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from counted import multiply_adds
from learning import moved
from tempme.backbones.config import ClipConfig
from tempme.compression import (
    EVS,
    RLT,
    Aligned,
    Average,
    Compression,
    EarlyTom,
    Keep,
    TempMe,
    ToMe,
)
from tempme.cost import cost
from tempme.errors import BadSetting
from tempme.retriever.footage import gmacs_of_windows, windows_of
from tempme.retriever.retriever import Retriever
from tempme.schedule import default_joins
from tempme.systems.system import System
from tempme.systems.table import PAPER, system
from tempme.tuning import LoRA, VoP

TINY = ClipConfig(
    image_size=64, patch=16, width=32, heads=4, text_width=32, text_layers=12, text_heads=4,
    embed=16, context=40, vocab=64,
)  # fmt: skip


def built(method: Compression) -> Retriever:
    system = System("x", LoRA(rank=2), method, backbone=TINY, max_words=8)
    return moved(Retriever.build(system, None, seed=0)).for_inference("fp32")


def film(frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    scene = torch.randn(1, 3, 64, 64, generator=generator)
    return scene + 0.7 * torch.randn(frames, 3, 64, 64, generator=generator)


HALVES = torch.stack([torch.arange(12) + 6 * i for i in range(4)])


@pytest.mark.parametrize(
    "method",
    [
        TempMe(halves=True),
        TempMe(halves=True, always_place=True, r=0, keep_cross=1),
        TempMe(halves=True, positions=False),
        TempMe(),
        TempMe(joins={3: 3, 5: 2, 8: 2}, halves=True),
        TempMe(joins={3: 3, 5: 2}, halves=True),
        Aligned(halves=True),
        RLT(keep=0.6, halves=True),
        RLT(r=0, keep=0.6, halves=True),
        RLT(r=0, keep=0.6),
        RLT(keep=0.5, joins={8: 2}, halves=True),
        RLT(keep=0.5, joins={7: 4, 9: 3}, positions=False),
        RLT(r=0, joins={}),
        EVS(r=0, keep=0.6, halves=True),
        EVS(keep=0.6, r=0, at_once=True),
    ],
)
@torch.no_grad()
@pytest.mark.one_in(2)
def test_windows_are_videos(method: Compression) -> None:
    retriever, frames = built(method), film(30)
    others = torch.randint(0, 30, (2, 12), generator=torch.Generator().manual_seed(0))
    windows = torch.cat([HALVES, HALVES[:1].flip(1), others])
    shared = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(shared, retriever.encode_videos(frames[windows]), atol=2e-6, rtol=0)
    assert retriever.encode_windows(frames, windows[:0]).shape == (0, TINY.embed)


@pytest.mark.parametrize(("halves", "shared"), [(True, 10), (False, 8)])
@torch.no_grad()
def test_what_is_shared_is_computed_once(halves: bool, shared: int) -> None:
    """Of windows that overlap by half: blocks before the last join run once for every clip."""
    joins = {8: 2, 9: 3, 10: 2}
    retriever, frames = built(TempMe(joins=joins, halves=halves)), film(30)
    plan = retriever.system.plan()
    alone = cost(plan, TINY).gmacs * 1e9
    behind = round(alone) - sum(of_block(plan, i) for i in range(shared)) - 12 * patches()
    before = 30 * patches() + sum(of_block(plan, i) * 30 // 12 for i in range(shared))
    ran = multiply_adds(lambda: retriever.encode_windows(frames, HALVES))
    assert ran == before + 4 * behind
    assert ran < multiply_adds(lambda: retriever.encode_videos(frames[HALVES]))


COUNTED = [
    Keep(),
    ToMe(),
    TempMe(),
    TempMe(halves=True),
    TempMe(joins={3: 3, 5: 2}, halves=True),
    RLT(keep=0.6),
    RLT(r=0, keep=0.6),
    RLT(r=0, keep=0.6, halves=True),
    RLT(r=0, joins={}, keep=0.6),
    EVS(keep=0.5, joins={8: 2}, positions=False),
    EarlyTom(),
    Average(),
]


@pytest.mark.one_in(9)
@pytest.mark.parametrize("method", COUNTED)
@pytest.mark.parametrize("stride", [3, 6, 12])
@torch.no_grad()
def test_the_cost_of_windows_is_what_runs(method: Compression, stride: int) -> None:
    retriever, windows = built(method), windows_of(30, window=12, stride=stride)
    frames = film(int(windows.max()) + 1)
    ran = multiply_adds(lambda: retriever.encode_windows(frames, windows))
    assert ran == round(gmacs_of_windows(retriever, windows) * 1e9)


def test_windows_by_stride() -> None:
    assert windows_of(13, window=12, stride=1).tolist() == [[*range(12)], [*range(1, 13)]]
    assert windows_of(30, window=12, stride=6)[:, 0].tolist() == [0, 6, 12, 18]
    for frames, stride in ((11, 1), (12, 0)):
        with pytest.raises(BadSetting, match=f"stride {stride} and the film has {frames}"):
            windows_of(frames, window=12, stride=stride)


def test_half_the_footage_in_common_costs_what_is_said() -> None:
    """ViT-B/32, half overlapping, of a long film: joins of 2-3-2 gain what windows share."""
    windows = windows_of(12 + 6 * 49, window=12, stride=6)
    gmacs = {}
    for name, halves in (("lora", None), ("tempme", False), ("tempme", True)):
        row = system(name)
        method = row.compression if halves is None else replace(row.compression, halves=halves)
        with torch.device("meta"):
            retriever = Retriever.build(replace(row, compression=method), None)
        gmacs[name, halves] = gmacs_of_windows(retriever, windows) / len(windows)
    dense, usual, shared = gmacs.values()
    assert dense == pytest.approx(system("lora").cost().gmacs / 2 * 51 / 50, rel=1e-3)
    assert dense / usual == pytest.approx(1.3, abs=0.02)
    assert dense / shared > dense / usual + 0.08


def test_what_a_tuning_adds_is_not_counted_by_windows() -> None:
    row = System("x", VoP(), TempMe(), backbone=TINY, max_words=8)
    with pytest.raises(BadSetting, match="x is tuned by VoP, which adds products"):
        gmacs_of_windows(Retriever.build(row, None, seed=0), windows_of(30, window=12, stride=6))


def of_block(plan: tuple, block: int) -> int:  # type: ignore[type-arg]
    """Multiply-adds of one block of one video."""
    whole = replace(plan[block], serves=None)
    both = cost([plan[0], whole], TINY, frames=12).gmacs
    return (
        round((both - cost([plan[0]], TINY, frames=12).gmacs) * 1e9)
        - _projected(whole)
        + _projected(plan[0])
    )


def _projected(step) -> int:  # type: ignore[no-untyped-def]
    return step.clips_out * step.protected * TINY.width * TINY.embed


def patches() -> int:
    return TINY.grid**2 * TINY.width * 3 * TINY.patch**2


@torch.no_grad()
def test_a_tuning_of_frames_by_their_number_shares_no_clips() -> None:
    """Prompts belong to the place of a frame in its window: no clip is the same anywhere."""
    system = System("x", VoP(positional=2), TempMe(halves=True), backbone=TINY, max_words=8)
    retriever = moved(Retriever.build(system, None, seed=0))
    frames = film(18)
    together = retriever.encode_videos(frames[HALVES[:2]])
    torch.testing.assert_close(
        retriever.encode_windows(frames, HALVES[:2]), together, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("tuning", ["prompt", "adapter", "plevu", "mv-adapter", "clip4clip"])
@torch.no_grad()
def test_tunings_share_frames_that_were_packed(tuning: str) -> None:
    tuned = PAPER[tuning].tuning.fitted(TINY)
    row = System("x", tuned, RLT(r=0, keep=0.6, halves=True), backbone=TINY, max_words=8)
    retriever, frames = moved(Retriever.build(row, None, seed=0)), film(24)
    together = retriever.encode_videos(frames[HALVES[:3]])
    torch.testing.assert_close(
        retriever.encode_windows(frames, HALVES[:3]), together, atol=2e-6, rtol=0
    )


def test_joins_that_halve() -> None:
    assert default_joins(12, halves=True) == {8: 2, 9: 3, 10: 2}
    assert default_joins(64, halves=True) == {8: 4, 9: 8, 10: 2}
    assert default_joins(6, halves=True) == {9: 3, 10: 2}
    for frames in range(1, 100):
        joins = default_joins(frames, halves=True)
        product = 1
        for k in joins.values():
            product *= k
        assert product == frames
        assert frames % 2 or list(joins.values())[-1] == 2
    assert default_joins(12, depth=1, halves=True) == {0: 12}


def test_positions_count_inside_the_clip() -> None:
    learnt = [
        System("x", LoRA(), TempMe(halves=h), backbone="ViT-B/32").trainable_parameters()
        for h in (False, True)
    ]
    assert learnt[0] - learnt[1] == (12 + 6 + 3 - 2 - 3 - 2) * 768
