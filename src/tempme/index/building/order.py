"""What one run of indexing is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.video import TOTAL_SECONDS


@dataclass(frozen=True)
class RunOrder:
    """What one run is asked to do; `Index.add` says what each field means."""

    paths: tuple[Path, ...]
    prune: bool = False
    force: bool = False
    retry_failed: bool = False
    pictures: bool = False
    exclude: tuple[str, ...] = ()
    workers: int | None = None
    threads: int | None = None
    timeout_seconds: float = 120.0
    total_seconds: float = TOTAL_SECONDS
    worker_memory_mb: float | None = WORKER_MEMORY_MB
    within: tuple[Path, ...] = ()
