"""Video files in, frames out; failures are values with a reason."""

from tempme.video.containers.source import TOTAL_SECONDS
from tempme.video.identify import is_video, read_image
from tempme.video.loading import iter_windows, load, load_uniform, load_windows, probe
from tempme.video.reading import read_video
from tempme.video.sampling import uniform_indices, windows
from tempme.video.values import Failure, Frames, Sampling, VideoInfo, VideoWindows, Window
from tempme.video.workers import decode_many

__all__ = [
    "TOTAL_SECONDS",
    "Failure",
    "Frames",
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
