"""Plans of EViT, DiffRate, STA and TESTA: tokens, cost, and settings that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tempme
from compression_material import METHODS, quick
from tempme.compression import STA, TESTA, Compression, DiffRate, EViT
from tempme.errors import BadSetting
from tempme.schedule import Dots, Step, total_tokens
from tempme.systems.system import System
from tempme.tuning import LoRA


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

    assert deciding(EViT(at=(3,))) == 2 * 12 * 50 * width  # the map, and the fused token
    assert deciding(EViT(at=(3,), fuse=False)) == 12 * 50 * width
    assert deciding(EViT(at=(11,))) == 0  # nothing leaves where few tokens are served
    assert deciding(STA(r=(10,), at=(0,))) == (24 * 25 + 11 * 49 * 49) * key + 11 * 49 * 49
    assert deciding(TESTA(r=0, frames_at=(0,))) == 50 * 6 * 6 * key
    assert deciding(TESTA(merge_frames=0, at=(0,))) == 12 * 24 * 25 * key
    rates = DiffRate((45, *[50] * 11), (40, *[50] * 11))
    assert deciding(rates) == 12 * (50 + 5 * 39) * width


def replace_dots(step: Step) -> Any:
    return None if step.dots is None else Dots()


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
