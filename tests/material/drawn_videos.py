"""Small videos whose frames carry their own number, for tests to read off."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tempme.video import Frames, Reading, load

SIDE = 64
BITS = 8
FPS = 10
NUM = 40
GOP = {"g": "8", "sc_threshold": "0"}


def barcode(number: int) -> np.ndarray:
    """(64, 64, 3): eight upright stripes, white for one, the highest bit on the left."""
    bits = [(number >> bit) & 1 for bit in reversed(range(BITS))]
    row = np.repeat(np.array(bits, dtype=np.uint8) * 255, SIDE // BITS)
    return np.broadcast_to(row[None, :, None], (SIDE, SIDE, 3)).copy()


def number_of(pixels: np.ndarray) -> int:
    """What `barcode` wrote, after any codec."""
    middles = np.arange(BITS) * SIDE // BITS + SIDE // BITS // 2
    means = pixels.astype(float).mean(axis=(0, 2))
    bits = [means[m - 1 : m + 2].mean() > 127 for m in middles]
    return sum(int(bit) << place for place, bit in enumerate(reversed(bits)))


def numbers(frames: Frames) -> list[int]:
    return [number_of(picture) for picture in frames.pixels]


def draw(
    path: Path,
    *,
    codec: str = "libx264",
    times: Sequence[float] | None = None,
    frames: int = NUM,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    picture: Callable[[int], np.ndarray] = barcode,
    prepare: Callable[[Any], None] = lambda _stream: None,
    shift_seconds: float = 0.0,
    tick: Fraction = Fraction(1, 1000),
    rate: int = FPS,
) -> Path:
    """Encode `picture(0)`, `picture(1)`, ... shown at `times` (default: ten a second).

    `shift_seconds` moves the packets after encoding: below zero it makes an edit list in MP4.
    """
    shown = times if times is not None else [i / FPS for i in range(frames)]
    first = picture(0)
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = first.shape[1], first.shape[0]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = tick
        prepare(stream)
        for number, time in enumerate(shown):
            array = picture(number)
            frame = av.VideoFrame.from_ndarray(array, "rgba" if array.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.time_base = tick
            frame.pts = round(time / tick)
            mux(out, stream.encode(frame), shift_seconds)
        mux(out, stream.encode(None), shift_seconds)
    if codec == "libsvtav1":
        # Run by the superuser it makes the process real-time for good, and starves the machine.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def mux(out: Any, packets: Sequence[Any], shift_seconds: float) -> None:
    for packet in packets:
        if shift_seconds:
            shift = round(Fraction(shift_seconds) / packet.time_base)
            packet.pts += shift
            packet.dts += shift
        out.mux(packet)


def frames_of(path: Path, **how: Any) -> Frames:
    seconds = how.pop("seconds", None)
    found = load(path, Reading(size=SIDE, **how), seconds=seconds)
    assert isinstance(found, Frames), found
    return found
