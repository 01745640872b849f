"""Which engine computes a model's features, in which numbers, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tempme.engines.extras import missing
from tempme.errors import BadSetting, UnknownName

TORCH, ONNX, OPENVINO, AUTO = "torch", "onnx", "openvino", "auto"
CPU = "cpu"
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|mps")
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
    device: where PyTorch computes; "auto" is a GPU where there is one. Other engines take the CPU.
    """

    engine: str = AUTO
    precision: str = AUTO
    device: str = AUTO

    def __post_init__(self) -> None:
        if self.engine not in (AUTO, *ENGINES):
            raise UnknownName.among("engine", self.engine, (AUTO, *ENGINES))
        if self.precision not in PRECISIONS:
            raise UnknownName.among("precision", self.precision, PRECISIONS)
        if not DEVICE.fullmatch(self.device):
            raise BadSetting(
                f"device is {self.device!r}; it is auto, cpu, cuda, cuda:N (a GPU by its number, "
                "from 0) or mps"
            )
        if self.settled.engine in (ONNX, OPENVINO) and self.device not in (AUTO, CPU):
            raise BadSetting(
                f"the engine {self.settled.engine} computes on the CPU: leave the device "
                f"{self.device} out, or take the engine torch"
            )
        own = ENGINES.get(self.engine, PRECISIONS)
        if self.precision not in (AUTO, *own):
            able = [name for name, names in ENGINES.items() if self.precision in names]
            raise BadSetting(
                f"the engine {self.engine} has no {self.precision}; it has {', '.join(own)}, and "
                f"{self.precision} is of {' and '.join(able)}: name that, or leave one out"
            )

    @property
    def is_open(self) -> bool:
        """Whether neither engine nor precision is chosen."""
        return (self.engine, self.precision) == (AUTO, AUTO)

    @property
    def settled(self) -> EngineChoice:
        """The same with an engine named, where the precision alone tells which."""
        if self.engine != AUTO or self.precision == AUTO:
            return self
        able = next(engine for engine, own in ENGINES.items() if self.precision in own)
        return replace(self, engine=able)

    @property
    def fastest(self) -> EngineChoice:
        """The same with a precision named, for an engine other than PyTorch."""
        precision = FASTEST[self.engine] if self.precision == AUTO else self.precision
        return replace(self, precision=precision)


ANY_ENGINE = EngineChoice()


def faster_ones() -> tuple[EngineChoice, ...]:
    """What may take the place of PyTorch, the fastest first; of what is installed."""
    every = (EngineChoice(ONNX, "int8"),)
    return tuple(one for one in every if not missing(one.engine))
