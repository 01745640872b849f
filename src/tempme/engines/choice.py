"""Which engine computes a model's features, in which numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tempme.engines.extras import missing
from tempme.errors import BadSetting, UnknownName

TORCH, ONNX, OPENVINO, AUTO = "torch", "onnx", "openvino", "auto"
# The precisions of every engine, the most exact first.
ENGINES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TORCH: ("fp32", "bf16", "bf16-mixed"),
        ONNX: ("fp32", "int8"),
        OPENVINO: ("fp32", "bf16"),
    }
)
PRECISIONS = (AUTO, *dict.fromkeys(name for names in ENGINES.values() for name in names))
# What an engine does where nobody says: the fastest of results/benchmarks/engines-*.json.
FASTEST = {ONNX: "int8", OPENVINO: "bf16"}


@dataclass(frozen=True)
class EngineChoice:
    """An engine and a precision, each a name or "auto"; BadSetting where they do not go together.

    "auto" of both is PyTorch, or a faster engine that was made for this model before and agrees
    with fp32 (`agreement.LIMIT`); of the engine alone, the first one that has the precision.
    """

    engine: str = AUTO
    precision: str = AUTO

    def __post_init__(self) -> None:
        if self.engine not in (AUTO, *ENGINES):
            raise UnknownName.among("engine", self.engine, (AUTO, *ENGINES))
        if self.precision not in PRECISIONS:
            raise UnknownName.among("precision", self.precision, PRECISIONS)
        own = ENGINES.get(self.engine, PRECISIONS)
        if self.precision not in (AUTO, *own):
            able = [name for name, names in ENGINES.items() if self.precision in names]
            raise BadSetting(
                f"the engine {self.engine} has no {self.precision}; it has {', '.join(own)}, and "
                f"{self.precision} is of {' and '.join(able)}: name that, or leave one out"
            )

    @property
    def is_open(self) -> bool:
        """Whether nothing is chosen."""
        return (self.engine, self.precision) == (AUTO, AUTO)

    @property
    def settled(self) -> EngineChoice:
        """The same with an engine named, where the precision alone tells which."""
        if self.engine != AUTO or self.precision == AUTO:
            return self
        return EngineChoice(
            next(e for e, own in ENGINES.items() if self.precision in own), self.precision
        )

    @property
    def fastest(self) -> EngineChoice:
        """The same with a precision named, for an engine other than PyTorch."""
        precision = FASTEST[self.engine] if self.precision == AUTO else self.precision
        return EngineChoice(self.engine, precision)


ANY_ENGINE = EngineChoice()


def faster_ones() -> tuple[EngineChoice, ...]:
    """What may take the place of PyTorch, the fastest first; of what is installed."""
    every = (EngineChoice(ONNX, "int8"),)
    return tuple(one for one in every if not missing(one.engine))
