"""What a run tells Ray's metrics, from which its dashboard and Prometheus have it.

    tempme_run_files_total{outcome}     files by what became of them: new, known, failed
    tempme_run_files_left               files of the run that are still to come
    tempme_run_windows_total            windows encoded
    tempme_run_files_per_second         since the first file
    tempme_run_stage_busy{stage}        how much of their time readers and encoders work, 0 to 1

The stage whose share is near 1 is what the other waits for. Ray begins the names with `ray_`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tempme.index.shards.making import Outcome

PIECE = "piece"


class RunMetrics:
    """The metrics of a run over `files` files, with so many actors that read and that encode."""

    def __init__(self, metrics: Any, *, files: int, readers: int, encoders: int) -> None:
        self._left, self._begin = files, time.monotonic()
        self._actors = {"read": readers, "encode": encoders}
        self._seconds = {"read": 0.0, "encode": 0.0}
        self._done = 0
        tagged, staged = ("outcome",), ("stage",)
        self._files = metrics.Counter("tempme_run_files", "Files of a run", tag_keys=tagged)
        self._windows = metrics.Counter("tempme_run_windows", "Windows encoded in a run")
        self._to_come = metrics.Gauge("tempme_run_files_left", "Files of a run still to come")
        self._rate = metrics.Gauge("tempme_run_files_per_second", "Files a second of a run")
        self._busy = metrics.Gauge("tempme_run_stage_busy", "Share of its time", tag_keys=staged)
        self._to_come.set(files)

    def watched(self, made: Iterator[Outcome]) -> Iterator[Outcome]:
        """The same outcomes, counted on the way."""
        for each in made:
            self._take(each)
            yield each

    def _take(self, made: Outcome) -> None:
        self._seconds["read"] += made.decode_seconds
        self._seconds["encode"] += made.encode_seconds
        if made.windows:
            self._windows.inc(made.windows)
        if made.kind != PIECE:
            self._done, self._left = self._done + 1, self._left - 1
            self._files.inc(1, tags={"outcome": made.kind})
            self._to_come.set(max(0, self._left))
        elapsed = max(1e-3, time.monotonic() - self._begin)
        self._rate.set(self._done / elapsed)
        for stage, actors in self._actors.items():
            self._busy.set(min(1.0, self._seconds[stage] / elapsed / actors), tags={"stage": stage})
