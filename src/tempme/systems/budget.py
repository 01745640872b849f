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
    whole = replace(row, compression=Keep()).cost().gmacs
    least = _scaled(row, STEPS).cost().gmacs
    if least > budget * whole:
        raise BadSetting(
            f"budget is {budget}, but {row.name} costs {least / whole:.2f} of the {whole:.1f} G "
            f"multiply-adds without compression at least: give it that much, or take another system"
        )
    strength = _gentlest(lambda step: _scaled(row, step), STEPS, budget * whole)
    shares = _gentlest(lambda step: _scaled(row, step, strength), strength, budget * whole)
    return _scaled(row, shares, strength)


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
