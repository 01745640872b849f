"""A row at the cost that a person allows: its settings made stronger or gentler together.

So rules can be compared at equal multiply-adds, without a row for every cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tempme.compression import Keep
from tempme.errors import BadSetting
from tempme.systems.system import System

STRONGEST, STEPS = 8.0, 800  # times the settings of the row; how finely that is looked through


def within(row: System, budget: float) -> System:
    """The row with the gentlest settings that cost at most `budget`.

    budget: the share of the multiply-adds of the same row without any compression; 1 is as many.
    Strength 1 is the row's own settings, 0 is that nothing merges or leaves, 2 that twice as much
    does (`Compression.scaled`). Whole numbers jump over some costs; then shares alone are made
    gentler again. BadSetting where the strongest still costs more.
    """
    if not budget > 0:
        raise BadSetting(f"budget is {budget}; it is a share of the multiply-adds: above 0")
    whole = dense_gmacs(row)
    least = _scaled(row, STEPS).cost().gmacs
    if least > budget * whole:
        raise BadSetting(
            f"budget is {budget}, but {row.name} costs {least / whole:.2f} of the {whole:.1f} G "
            f"multiply-adds without compression at least: give it that much, or take another system"
        )
    strength = _gentlest(lambda step: _scaled(row, step), STEPS, budget * whole)
    shares = _gentlest(lambda step: _scaled(row, step, strength), strength, budget * whole)
    return _scaled(row, shares, strength)


def within_budget(row: System, budget: float) -> System:
    """`within`, of a row that saves: BadSetting for one that does not, and for all or nothing."""
    if not 0 < budget < 1:
        raise BadSetting(
            f"budget is {budget}; it is a share of the dense multiply-adds: between 0 and 1, such "
            f"as 0.5"
        )
    check_saves(row)
    return within(row, budget)


def check_saves(row: System) -> None:
    """BadSetting where a row is no cheaper than the dense model, so that nothing can be gained."""
    if isinstance(row.compression, Keep) or share_of_dense(row) >= 1:
        raise BadSetting(
            f"{row.name} keeps every token, so that it costs as much as the dense model: take a "
            f"system that merges or prunes (tempme, tome, evit, sta or testa, for one)"
        )


def dense_gmacs(system: System) -> float:
    """Giga multiply-adds of a video if all tokens stayed: the 100 % of every budget."""
    return replace(system, compression=Keep()).cost().gmacs


def share_of_dense(system: System) -> float:
    """What a video costs, as a share of what it costs without compression."""
    return system.cost().gmacs / dense_gmacs(system)


def _gentlest(made: Callable[[int], System], strongest: int, most: float) -> int:
    """The least step up to `strongest`, which costs no more, that costs at most `most`."""
    costly, cheap = -1, strongest
    while cheap - costly > 1:
        middle = (costly + cheap) // 2
        if made(middle).cost().gmacs > most:
            costly = middle
        else:
            cheap = middle
    return cheap


def _scaled(row: System, shares: int, counts: int | None = None) -> System:
    strength = STRONGEST * shares / STEPS
    of_counts = None if counts is None else STRONGEST * counts / STEPS
    return replace(row, compression=row.compression.scaled(strength, counts=of_counts))
