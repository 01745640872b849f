"""Video files in, frames out; failures are values with a reason.

The decoder is imported by the first name that needs it: values and settings come without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tempme.video.values import (
    TOTAL_SECONDS,
    Failure,
    Fit,
    Frames,
    Reading,
    Sampling,
    VideoInfo,
    VideoWindows,
    Window,
)

if TYPE_CHECKING:
    from tempme.video.identify import is_video
    from tempme.video.images import read_image
    from tempme.video.loading import iter_windows, load, load_uniform, load_windows, probe
    from tempme.video.pixels import read_video
    from tempme.video.sampling import uniform_indices, windows
    from tempme.video.workers import decode_many

_HOME = {
    "decode_many": "tempme.video.workers",
    "is_video": "tempme.video.identify",
    "iter_windows": "tempme.video.loading",
    "load": "tempme.video.loading",
    "load_uniform": "tempme.video.loading",
    "load_windows": "tempme.video.loading",
    "probe": "tempme.video.loading",
    "read_image": "tempme.video.images",
    "read_video": "tempme.video.pixels",
    "uniform_indices": "tempme.video.sampling",
    "windows": "tempme.video.sampling",
}

__all__ = [
    "TOTAL_SECONDS",
    "Failure",
    "Fit",
    "Frames",
    "Reading",
    "Sampling",
    "VideoInfo",
    "VideoWindows",
    "Window",
    "decode_many",
    "is_video",
    "iter_windows",
    "load",
    "load_uniform",
    "load_windows",
    "probe",
    "read_image",
    "read_video",
    "uniform_indices",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tempme.video' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
