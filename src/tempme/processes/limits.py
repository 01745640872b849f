"""What one item may take of its worker process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import TIMEOUT_MAX

from tempme.errors import BadSetting

# Enough for any film: the pictures that a decoder of 4K holds take some hundred megabytes.
WORKER_MEMORY_MB = 1024.0
LEAST_MEMORY_MB = 256.0
# How often a task that gets on says so.
BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Time and memory of one item; None is no limit.

    timeout_seconds: without a piece of the answer or a sign of life. The time that a finished
    piece waits for a slow caller does not count. grace_seconds: how much later a process is ended
    that looks at the limit itself and has the better words for it. worker_memory_mb: resident
    megabytes (2^20 bytes) of the process. It is ended when an item makes it hold more, and
    replaced when it still holds more than half of that between two items. macOS tells only the
    peak, which is taken instead; Windows tells nothing, and this limit is none there.
    """

    timeout_seconds: float | None = None
    grace_seconds: float = 0.0
    worker_memory_mb: float | None = WORKER_MEMORY_MB

    def __post_init__(self) -> None:
        if self.timeout_seconds is not None and not self.timeout_seconds > 0:
            raise BadSetting(
                f"timeout_seconds is {self.timeout_seconds}; it must be above 0, or None for no"
                " limit"
            )
        if self.worker_memory_mb is not None and not self.worker_memory_mb >= LEAST_MEMORY_MB:
            raise BadSetting(
                f"worker_memory_mb is {self.worker_memory_mb}; it must be {LEAST_MEMORY_MB:g} or"
                " more, or None for no limit: a process takes about 100 before it reads anything"
            )
        if not (math.isfinite(self.grace_seconds) and self.grace_seconds >= 0):
            raise BadSetting(f"grace_seconds is {self.grace_seconds}; it must be 0 or more")

    @property
    def silence_seconds(self) -> float | None:
        """How long nothing may come from a process before it is ended."""
        if self.timeout_seconds is None or self.timeout_seconds >= TIMEOUT_MAX / 2:
            return None
        return self.timeout_seconds + self.grace_seconds

    @property
    def beat_seconds(self) -> float:
        """How long a task that gets on may be silent; well within the time limit."""
        silence = self.silence_seconds
        return BEAT_SECONDS if silence is None else min(BEAT_SECONDS, silence / 4)

    @property
    def memory_bytes(self) -> int | None:
        """The limit of memory in bytes."""
        if self.worker_memory_mb is None or math.isinf(self.worker_memory_mb):
            return None
        return int(self.worker_memory_mb * 2**20)

    def is_worn_out(self, resident_bytes: int | None) -> bool:
        """Whether a process that holds so much between two items had better be replaced."""
        if self.memory_bytes is None or resident_bytes is None:
            return False
        return resident_bytes > self.memory_bytes / 2
