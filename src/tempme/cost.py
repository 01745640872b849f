"""What a plan costs, from integers alone: Table 1 of the paper.

A multiply-add is one multiplication and one addition. `Cost.gmacs` counts every matrix product
that runs for a video encoded alone, no more and no less. The paper prints multiply-adds of the
vision tower as "GFLOPs", by a profiler that runs the last block whole, although no token but the
protected ones is read after it, counts some elementwise work, leaves out the matching, and for 64
frames counts the patch embedding of only 12: `Cost.gflops_paper`. Of UMT (Table 6) it prints the
encoder up to its last norm, matching included, with every sum and product of elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tempme.backbones.sizes import Sizes
from tempme.backbones.umt.config import UmtConfig
from tempme.schedule import Step

FRAMES_IN_PAPER_PATCHES = 12


@dataclass(frozen=True, slots=True)
class Cost:
    """Giga multiply-adds of encoding one video."""

    gmacs: float  # every matrix product that runs, matching included
    gflops_paper: float  # as printed in the paper
    gmacs_prompts: float = 0.0  # on top of both: making prompts, which the paper leaves out


@dataclass(frozen=True, slots=True)
class Extra:
    """What a tuning adds to the multiply-adds of a video.

    products: as this program computes it. paper: as its original computes it, on top of the paper's
    count, with `paper_prompts` more tokens in every clip from block `prompts_from` on. making: of
    prompts, once a video where they are made from it, else once a model (they fold into constants).
    """

    products: int = 0
    paper: int = 0
    paper_prompts: int = 0
    prompts_from: int = 0
    making: int = 0


NOTHING = Extra()


def cost(
    plan: Sequence[Step],
    config: Sizes,
    extra: Extra = NOTHING,
    *,
    frames: int | None = None,
    whole: bool = False,
) -> Cost:
    """The cost of one video under `plan`; LoRA is folded, texts are not counted.

    frames: of the video; None is as many as the clips that the plan begins with. whole: of a
    backbone without class tokens one mean of the video is projected, rather than one of each part.
    """
    frames = plan[0].clips * plan[0].join if frames is None else frames
    patches = patches_macs(config)
    projected = _projection(plan, config, frames, whole=whole)
    matching = sum(_matching(step, config) for step in plan)
    products = sum(block_macs(step, config) for step in plan) + projected
    longer = with_tokens(plan, extra.paper_prompts, first=extra.prompts_from)
    paper = sum(_block(step, config) for step in longer) + extra.paper
    if isinstance(config, UmtConfig):
        paper += frames * patches + matching + _elementwise_of_umt(longer, config, frames)
    else:
        paper += min(frames, FRAMES_IN_PAPER_PATCHES) * patches
        paper += projected + _elementwise(longer, config, frames)
    return Cost(
        gmacs=(frames * patches + products + extra.products) / 1e9,
        gflops_paper=paper / 1e9,
        gmacs_prompts=extra.making / 1e9,
    )


def with_tokens(plan: Sequence[Step], more: int, *, first: int = 0) -> tuple[Step, ...]:
    """The plan of clips that hold `more` tokens in every block from `first` on."""
    return (*plan[:first], *(_longer(step, more) for step in plan[first:]))


def _longer(step: Step, more: int) -> Step:
    view = step.view and step.view._replace(places=step.view.places + more)
    return replace(step, attended=step.attended + more, view=view)


def seeing(step: Step, config: Sizes, prompts: int, *, parts: int = 1) -> int:
    """Multiply-adds of a block that attends to prompts beside its tokens.

    Keys and values are made of them `parts` times a video; every token that asks looks at all.
    """
    looks = 2 * step.clips * step.meeting * prompts * config.width
    return 2 * parts * prompts * config.width**2 + looks


def block_macs(step: Step, config: Sizes) -> int:
    """Multiply-adds of one block as it runs for one video, matching included."""
    return _run(step, config) + _matching(step, config)


def patches_macs(config: Sizes) -> int:
    """Multiply-adds of embedding the patches of one frame."""
    return config.grid**2 * config.width * 3 * config.patch**2


def _run(step: Step, config: Sizes) -> int:
    """A block as it runs: keys and values of all tokens, all else of those it serves."""
    d, attended, asking = config.width, step.attended, step.asking
    products = 2 * attended * d * d + 2 * asking * d * d + 2 * step.looks * d
    return step.clips * products + step.clips_out * step.through_mlp * 8 * d * d


def _block(step: Step, config: Sizes) -> int:
    """A whole block, whatever is read after it."""
    d, attended = config.width, step.attended
    attention = step.clips * (4 * attended * d * d + 2 * _pairs_of_all(step) * d)
    return attention + step.clips_out * step.fed * 8 * d * d


def _pairs_of_all(step: Step) -> int:
    """Queries that meet a key where all tokens are served."""
    return replace(step, serves=None).looks


def _projection(plan: Sequence[Step], config: Sizes, frames: int, *, whole: bool) -> int:
    """Of class tokens; or of a mean of each clip, of each frame where none of a video merged."""
    last = plan[-1]
    parts = last.clips_out * last.protected
    if isinstance(config, UmtConfig):
        by_frame = config.joint and not _merges(plan)
        parts = 1 if whole else frames if by_frame else last.clips_out
    return parts * config.width * config.embed


def _merges(plan: Sequence[Step]) -> bool:
    return any(step.cross or step.intra or step.merged_clips for step in plan)


def _matching(step: Step, config: Sizes) -> int:
    """Similarities of set A to set B: of whole tokens across clips, of one head's keys inside.

    A method that decides otherwise says in `step.dots` what it compares. Where a block
    serves some tokens alone, nothing is decided behind its attention.
    """
    key, is_whole = config.width // config.heads, step.serves is None
    if step.dots is not None:
        dots = step.dots
        after = dots.tokens * config.width + dots.keys * key + dots.scalars
        return dots.before * config.width + is_whole * after
    before = _pairs(step.attended + step.cross - step.protected) if step.cross else 0
    after = _pairs(step.attended - step.protected) if step.intra and is_whole else 0
    return step.clips * (before * config.width + after * key)


def _pairs(free: int) -> int:
    return (free // 2) * (free - free // 2)


def _elementwise(plan: Sequence[Step], config: Sizes, frames: int) -> int:
    """5 per element of a norm, 2 per attention weight and per hidden unit of the MLP."""
    d = config.width
    norms = frames * config.tokens * d + plan[-1].clips_out * plan[-1].protected * d
    other = 0
    for step in plan:
        fed = step.clips_out * step.fed
        norms += (step.clips * step.attended + fed) * d
        other += step.clips * config.heads * _pairs_of_all(step) + 4 * d * fed
    return 5 * norms + 2 * other


def _elementwise_of_umt(plan: Sequence[Step], config: Sizes, frames: int) -> int:
    """5 per element of a norm; 1 per attention weight, hidden unit, sum and product.

    Sums: residuals, positions, sizes added to attention; products: scaled queries, weighted means.
    """
    d = config.width
    last = plan[-1]
    norms, merged = last.clips_out * last.tokens_out, False
    sums, products, weights, fed = frames * config.tokens, 0, 0, 0
    for step in plan:
        attended, through = step.clips * step.attended, step.clips_out * step.fed
        attention = step.clips * config.heads * _pairs_of_all(step)
        joined = step.clips * (step.attended + step.cross) if step.cross else 0
        merged = merged or step.cross > 0
        norms, fed = norms + attended + through, fed + through
        sums += attended + through + joined
        products += attended + joined + (attended if step.intra else 0)
        weights += attention * (2 if merged else 1)
        merged = merged or step.intra > 0
    return (5 * norms + sums + products + 4 * fed) * d + weights
