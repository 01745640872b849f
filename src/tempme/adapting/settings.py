"""How a model is adapted: one frozen value, checked when it is born."""

from __future__ import annotations

from dataclasses import dataclass, field

from tempme.errors import BadSetting
from tempme.index.header import Cutting

LEAST_WINDOWS = 2  # in a batch, so that there are relations


@dataclass(frozen=True)
class Adapting:
    """What is made, and how it learns.

    system: the row that merges. budget: its share of the dense multiply-adds; None takes the
    settings of the row. Without a system both are chosen (`adapting.models.row_for`).
    windows: looked at, over all videos; a fifth of them is held out. steps, batch, learning_rate:
    of learning; it stops earlier where `patience` validations, one every `validate_every` steps,
    found nothing better. cutting: of videos into windows, as the index that will be made with the
    model cuts them.
    """

    system: str | None = None
    budget: float | None = None
    windows: int = 200
    steps: int = 100
    batch: int = 16
    learning_rate: float = 6e-4
    validate_every: int = 10
    patience: int = 3
    save_every: int = 5
    seed: int = 0
    cutting: Cutting = field(default_factory=lambda: Cutting(fit="squash"))

    def __post_init__(self) -> None:
        least = {"steps": 1, "validate_every": 1, "save_every": 1, "patience": 1}
        for name, number in (least | {"batch": LEAST_WINDOWS, "windows": 10}).items():
            if getattr(self, name) < number:
                raise BadSetting(f"{name} is {getattr(self, name)}; it must be {number} or more")
        if not self.learning_rate > 0:
            raise BadSetting(f"learning_rate is {self.learning_rate}; it must be above 0")
