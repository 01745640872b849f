"""Find the moment you describe: fast text-video retrieval that merges what does not change.

Importing the package is cheap; torch is imported by the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tempme.checkpoint import load
    from tempme.errors import TempmeError
    from tempme.index import Hit, Index
    from tempme.official import from_official
    from tempme.retriever import Retriever
    from tempme.tracing import Trace, trace
    from tempme.zoo import System, system, systems

_HOME = {
    "Hit": "tempme.index",
    "Index": "tempme.index",
    "Retriever": "tempme.retriever",
    "System": "tempme.zoo",
    "TempmeError": "tempme.errors",
    "Trace": "tempme.tracing",
    "from_official": "tempme.official",
    "load": "tempme.checkpoint",
    "system": "tempme.zoo",
    "systems": "tempme.zoo",
    "trace": "tempme.tracing",
}

__all__ = [
    "Hit",
    "Index",
    "Retriever",
    "System",
    "TempmeError",
    "Trace",
    "from_official",
    "load",
    "system",
    "systems",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tempme' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
