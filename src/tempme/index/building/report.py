"""What a run of indexing says: progress while it goes on, a report at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tempme.index.building.scan import Unreadable
from tempme.index.moments import Video


@dataclass(frozen=True)
class Counts:
    """Videos by what became of them. `failed` includes known failures that were not retried."""

    indexed: int = 0
    unchanged: int = 0
    renamed: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Progress:
    """Where a run stands. Times are wall-clock seconds of the thread that encodes.

    `total` counts all videos found, `done` those settled, the ones known before included.
    `decode_seconds` is the time the encoder waited for frames.
    """

    total: int
    done: int
    total_bytes: int
    done_bytes: int
    new: int
    failed: int
    seconds: float
    decode_seconds: float
    encode_seconds: float
    path: Path | None = None

    @property
    def videos_per_second(self) -> float:
        """Videos read in this run, by the second."""
        return self.new / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """The time that the bytes still to be read will take at the pace so far."""
        if not self.done_bytes or not self.seconds:
            return None
        return self.seconds * (self.total_bytes - self.done_bytes) / self.done_bytes

    @property
    def bottleneck(self) -> str:
        """Which side the other waits for, and its share: "decode-bound 82 %"."""
        busy = self.decode_seconds + self.encode_seconds
        if busy <= 0:
            return ""
        share = self.decode_seconds / busy
        return f"decode-bound {share:.0%}" if share >= 0.5 else f"encode-bound {1 - share:.0%}"


@dataclass(frozen=True)
class Report:
    """The end of a run.

    `moments` counts those in the index. `decode_seconds` is the time the encoder waited for
    frames, `encode_seconds` the time it worked: the larger of the two is the bottleneck.
    """

    videos: Counts
    moments: int
    seconds: float
    decode_seconds: float
    encode_seconds: float
    videos_per_second: float
    failures: tuple[Video, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON; failures first, figures last."""
        return {
            "failures": [
                {"path": str(v.path), "reason": v.reason, "status": v.status} for v in self.failures
            ],
            "unreadable": [{"path": str(u.path), "reason": u.reason} for u in self.unreadable],
            "videos": asdict(self.videos),
            "moments": self.moments,
            "seconds": round(self.seconds, 3),
            "decode_seconds": round(self.decode_seconds, 3),
            "encode_seconds": round(self.encode_seconds, 3),
            "videos_per_second": round(self.videos_per_second, 3),
        }
