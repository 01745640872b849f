"""A system within a budget: how hard it compresses, chosen by what a video then costs.

Every kind of compression has a ladder of settings, from gentle to harsh, that keep the proportions
of the row: TempMe at twice its strength merges twice as many tokens within frames, across clips and
within them. Of the steps that cost no more than the budget, the first that is near it is taken,
else the one that costs most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from tempme.compression import STA, TESTA, Compression, DiffRate, EViT, Keep, TempMe, ToMe
from tempme.errors import BadSetting
from tempme.schedule import default_joins
from tempme.systems.system import System

# Multiples of a row's own strength, and what no step goes below.
STRENGTHS = tuple(round(0.05 * step, 2) for step in range(1, 161))
LEAST_CROSS, LEAST_INTRA = 0.3, 0.4
NEAR = 0.01  # of the dense cost, below a budget: near enough
# Tokens that TempMe merges in a frame beside its proportion; blocks that its joins come earlier.
MORE, EARLIER = (0, 1, -1, -2), (1, 2, 3)
MERGING = "tempme, tome, evit, sta, testa or diffrate"


def dense_gmacs(system: System) -> float:
    """Giga multiply-adds of a video if all tokens stayed: the 100 % of every budget."""
    return replace(system, compression=Keep()).cost().gmacs


def share_of_dense(system: System) -> float:
    """What a video costs, as a share of what it costs without compression."""
    return system.cost().gmacs / dense_gmacs(system)


def within_budget(row: System, budget: float) -> System:
    """The row with the settings that cost nearest below `budget`, a share of dense multiply-adds.

    BadSetting where the row saves nothing, has no ladder, or cannot cost so little.
    """
    if not 0 < budget < 1:
        raise BadSetting(
            f"budget is {budget}; it is a share of the dense multiply-adds: between 0 and 1, such "
            f"as 0.5"
        )
    check_saves(row)
    ladder = LADDERS.get(type(row.compression))
    if ladder is None:
        raise BadSetting(
            f"{row.name} has no settings for a budget: leave the budget out to take its own, or "
            f"take a system of {MERGING}"
        )
    dense, best, least = dense_gmacs(row), None, 1.0
    for compression in ladder(row.compression, row):
        made = replace(row, compression=compression)
        share = made.cost().gmacs / dense
        least = min(least, share)
        if budget - NEAR <= share <= budget:
            return made
        if share <= budget and (best is None or share > best[0]):
            best = share, made
    if best is None:
        raise BadSetting(
            f"{row.name} costs at least {least:.3f} of the dense multiply-adds; a budget of "
            f"{budget} is out of its reach: ask for {least + 0.005:.2f} or more"
        )
    return best[1]


def check_saves(row: System) -> None:
    """BadSetting where a row is no cheaper than the dense model, so that nothing can be gained."""
    if isinstance(row.compression, Keep) or share_of_dense(row) >= 1:
        raise BadSetting(
            f"{row.name} keeps every token, so that it costs as much as the dense model: take a "
            f"system that merges or prunes ({MERGING})"
        )


def _tempme(own: Compression, row: System) -> Iterator[Compression]:
    assert isinstance(own, TempMe)
    # Whole tokens are coarse steps where frames have few: joins a block earlier lie between them.
    for joins, more in product(_joins(own, row), MORE if own.r else (0,)):
        for strength in STRENGTHS:
            r = max(0, int(strength * own.r) + more)
            yield replace(
                own,
                r=min(r, row.config.tokens),
                joins=joins,
                keep_cross=round(max(LEAST_CROSS, 1 - strength * (1 - own.keep_cross)), 4),
                keep_intra=round(max(LEAST_INTRA, 1 - strength * (1 - own.keep_intra)), 4),
            )


def _joins(own: TempMe, row: System) -> Iterator[Mapping[int, int] | None]:
    """The joins of the row, and the same some blocks earlier."""
    yield own.joins
    joins = own.joins or default_joins(row.frames, depth=row.config.layers)
    for earlier in EARLIER:
        if min(joins, default=0) > earlier:
            yield {block - earlier: k for block, k in joins.items()}


def _tome(own: Compression, row: System) -> Iterator[Compression]:
    assert isinstance(own, ToMe | TESTA)
    return (replace(own, r=r) for r in range(1, row.config.tokens // 2 + 1))


def _evit(own: Compression, row: System) -> Iterator[Compression]:  # noqa: ARG001
    assert isinstance(own, EViT)
    return (replace(own, keep=round(1 - percent / 100, 2)) for percent in range(1, 99))


def _sta(own: Compression, row: System) -> Iterator[Compression]:  # noqa: ARG001
    assert isinstance(own, STA)
    return (replace(own, r=tuple(round(s * each) for each in own.r)) for s in STRENGTHS)


def _diffrate(own: Compression, row: System) -> Iterator[Compression]:
    assert isinstance(own, DiffRate)
    tokens = row.config.tokens
    rates = own.rates(tokens, row.config.layers)

    def less(kept: tuple[int, ...], strength: float) -> tuple[int, ...]:
        return tuple(max(2, round(tokens - strength * (tokens - each))) for each in kept)

    for strength in STRENGTHS:
        found: dict[str, Any] = {k: less(v, strength) for k, v in rates._asdict().items()}
        yield replace(own, **found)


LADDERS: Mapping[type[Compression], Callable[[Compression, System], Iterator[Compression]]] = {
    TempMe: _tempme,
    ToMe: _tome,
    TESTA: _tome,
    EViT: _evit,
    STA: _sta,
    DiffRate: _diffrate,
}
