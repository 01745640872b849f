"""A video whose halves differ."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def make_video(
    path: Path, *, width: int = 96, height: int = 64, seconds: float = 2.0, codec: str = "mpeg4"
) -> Path:
    """A left half that brightens with time, on a dark right half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12)
        stream.codec_context.thread_count = 1  # more cut frames into slices: other bytes
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(round(12 * seconds)):
            pixels = np.full((height, width, 3), 20, np.uint8)
            pixels[:, : width // 2] = min(250, 40 + 8 * number)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
