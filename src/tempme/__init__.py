"""Find the moment you describe: fast text-video retrieval that merges what does not change.

Importing the package is cheap; torch is imported by the first name that needs it. Threads of a
torch that is imported later sleep while they wait, unless the environment says otherwise.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tempme.processes.cores import wait_passively

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tempme.errors import TempmeError
    from tempme.index import Hit, Index
    from tempme.retriever.answerer import Answerer
    from tempme.retriever.release import from_official
    from tempme.retriever.retriever import Retriever, load
    from tempme.retriever.tracing import Trace, trace
    from tempme.systems.system import System
    from tempme.systems.table import list_systems, system
    from tempme.video import read_video

_HOME = {
    "Answerer": "tempme.retriever.answerer",
    "Hit": "tempme.index",
    "Index": "tempme.index",
    "Retriever": "tempme.retriever.retriever",
    "System": "tempme.systems.system",
    "TempmeError": "tempme.errors",
    "Trace": "tempme.retriever.tracing",
    "from_official": "tempme.retriever.release",
    "list_systems": "tempme.systems.table",
    "load": "tempme.retriever.retriever",
    "read_video": "tempme.video",
    "system": "tempme.systems.table",
    "trace": "tempme.retriever.tracing",
}

wait_passively()

__all__ = [
    "Answerer",
    "Hit",
    "Index",
    "Retriever",
    "System",
    "TempmeError",
    "Trace",
    "from_official",
    "list_systems",
    "load",
    "read_video",
    "system",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tempme' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
