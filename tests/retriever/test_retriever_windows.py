"""Overlapping windows share frames, and clips that have joined, where a clip is itself anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from counted import multiply_adds
from learning import moved
from tempme.backbones.config import ClipConfig
from tempme.compression import Aligned, Compression, TempMe
from tempme.cost import cost
from tempme.retriever.retriever import Retriever
from tempme.schedule import default_joins
from tempme.systems.system import System
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
        Aligned(halves=True),
    ],
)
@torch.no_grad()
def test_windows_are_videos(method: Compression) -> None:
    retriever, frames = built(method), film(30)
    others = torch.randint(0, 30, (2, 12), generator=torch.Generator().manual_seed(0))
    windows = torch.cat([HALVES, HALVES[:1].flip(1), others])
    shared = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(shared, retriever.encode_videos(frames[windows]), atol=1e-6, rtol=0)


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
