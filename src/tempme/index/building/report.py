"""What a run of indexing says: progress while it goes on, a report at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tempme.index.building.scan import Unseen
from tempme.index.moments import Video
from tempme.uris import uri_of


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
    `decode_seconds` is the time the encoder waited for frames. `eta_seconds` is what the rest
    will take, by the bytes left and the speed so far; None before the first frames have come.
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
    eta_seconds: float | None = None

    @property
    def videos_per_second(self) -> float:
        """Videos read in this run, by the second."""
        return self.new / self.seconds if self.seconds > 0 else 0.0

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

    `failures` and `notes` are rows with a reason: of files that gave nothing, and of videos read in
    part. `unreadable` are folders that could not be read and named files that are not a video,
    `missing` the known files that are gone, wherever they lie, and `skipped` counts by rule.
    `moments` counts those in the index, `repeats` those that this run kept out of it
    (`Cutting.distinct`). `decode_seconds` is the time the encoder waited for frames,
    `encode_seconds` the time it worked: the larger of the two is the bottleneck.
    """

    videos: Counts
    moments: int
    seconds: float
    decode_seconds: float
    encode_seconds: float
    videos_per_second: float
    failures: tuple[Video, ...] = ()
    unreadable: tuple[Unseen, ...] = ()
    notes: tuple[Video, ...] = ()
    missing: tuple[Path, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON; failures first, figures last."""
        return {
            "failures": [
                {"path": uri_of(v.path), "reason": v.reason, "status": v.status}
                for v in self.failures
            ],
            "notes": _told(self.notes),
            "unreadable": _told(self.unreadable),
            "missing": [uri_of(path) for path in self.missing],
            "skipped": dict(self.skipped),
            "videos": asdict(self.videos),
            "moments": self.moments,
            "repeats": self.repeats,
            "seconds": round(self.seconds, 3),
            "decode_seconds": round(self.decode_seconds, 3),
            "encode_seconds": round(self.encode_seconds, 3),
            "videos_per_second": round(self.videos_per_second, 3),
        }


def _told(items: Iterable[Video | Unseen]) -> list[dict[str, str]]:
    return [{"path": uri_of(item.path), "reason": item.reason} for item in items]
