"""What a plan costs, from integers alone: Table 1 of the paper.

A multiply-add is one multiplication and one addition. The paper prints multiply-adds of the
vision tower as "GFLOPs". Its profiler also counts some elementwise work, and for 64 frames it
counts the patch embedding of only 12; `paper_gflops` follows it, `multiply_adds` does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempme.clip.config import ClipConfig
from tempme.schedule import Step

FRAMES_IN_PAPER_PATCHES = 12


@dataclass(frozen=True, slots=True)
class Cost:
    """Giga multiply-adds of encoding one video."""

    gmacs: float  # every matrix product, matching included
    gflops_paper: float  # as printed in the paper


def cost(plan: Sequence[Step], config: ClipConfig) -> Cost:
    """The cost of one video under `plan`; LoRA is folded, texts are not counted."""
    frames = plan[0].clips * plan[0].join
    patches = _patches(config)
    products = sum(_block(step, config) for step in plan) + _projection(plan, config)
    matching = sum(_matching(step, config) for step in plan)
    counted = min(frames, FRAMES_IN_PAPER_PATCHES)
    elementwise = _elementwise(plan, config, frames)
    return Cost(
        gmacs=(frames * patches + products + matching) / 1e9,
        gflops_paper=(counted * patches + products + elementwise) / 1e9,
    )


def _patches(config: ClipConfig) -> int:
    return config.grid**2 * config.width * 3 * config.patch**2


def _block(step: Step, config: ClipConfig) -> int:
    d, attended, fed = config.width, step.attended, step.tokens_out
    return step.clips * (4 * attended * d * d + 2 * attended * attended * d + 8 * fed * d * d)


def _projection(plan: Sequence[Step], config: ClipConfig) -> int:
    return plan[-1].clips * plan[-1].protected * config.width * config.embed


def _matching(step: Step, config: ClipConfig) -> int:
    """Similarities of set A to set B: of whole tokens across clips, of one head's keys inside."""
    key = config.width // config.heads
    before = _pairs(step.attended + step.cross - step.protected) if step.cross else 0
    after = _pairs(step.attended - step.protected) if step.intra else 0
    return step.clips * (before * config.width + after * key)


def _pairs(free: int) -> int:
    return (free // 2) * (free - free // 2)


def _elementwise(plan: Sequence[Step], config: ClipConfig, frames: int) -> int:
    """5 per element of a norm, 2 per attention weight and per hidden unit of the MLP."""
    d = config.width
    norms = frames * config.tokens * d + plan[-1].clips * plan[-1].protected * d
    other = 0
    for step in plan:
        norms += step.clips * (step.attended + step.tokens_out) * d
        other += step.clips * (config.heads * step.attended**2 + 4 * d * step.tokens_out)
    return 5 * norms + 2 * other
