"""High dynamic range and wide gamut to what models have seen: SDR, BT.709.

Phones record HDR: light on the curve PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100) in the colours of
BT.2020. Taken for SDR it looks grey and pale, and its features are those of another picture. Here
the square that was cut out, and not the whole frame, is made linear, its highlights are brought
below SDR's white by the curve of ITU-R BT.2390 (annex 5: nothing happens to what is darker than
the knee), its colours are put into those of BT.709 and the result on a display's gamma. SDR's
white is 203 cd/m2 of HDR (ITU-R BT.2408). The peak is that of the square itself, since what files
say of theirs is often missing or wrong.

A square of 224 takes 3 ms of one core from PQ and 4 from HLG, where scaling a frame of 4K to it
takes 9 (`benchmarks/decode.py`).
"""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.values import Pixels

Light = NDArray[np.float32]

# Numbers of ITU-T H.273, as frames carry them.
PQ, HLG = 16, 18
BT2020, P3 = 9, 12
WHITE = 203.0
# Peak of the display that HLG is made for; gives the exponent of its rendering (BT.2100).
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2
DISPLAY_GAMMA = 2.4
BRIGHTEST = 10_000.0
# A few pixels may be brighter than the peak.
PEAK_PERCENTILE = 99.9
LEVELS = 2**16
STEPS = 4096
# Linear RGB to that of BT.709; all three have the white D65.
TO_BT709 = {
    BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
LUMINANCE_OF_BT2020 = (0.2627, 0.6780, 0.0593)
# The constants of ST 2084.
M1, M2, C1, C2, C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def needs_mapping(frame: av.VideoFrame) -> bool:
    """Whether the frame's light or colours are not those of SDR."""
    return frame.color_trc in (PQ, HLG) or frame.color_primaries in TO_BT709


def to_sdr(signal: NDArray[np.uint16], transfer: int, primaries: int) -> Pixels:
    """(..., 3) of 16 bits as a frame has them to (..., 3) of 8 bits, SDR in BT.709."""
    if transfer in (PQ, HLG):
        light = _below_white(_light(signal, transfer) / np.float32(WHITE))
    else:
        light = _table(transfer)[signal]
    if primaries in TO_BT709:
        light = light @ np.array(TO_BT709[primaries], dtype=np.float32).T
    return _shown()[(np.clip(light, 0, 1) * np.float32(LEVELS - 1)).astype(np.uint16)]


def _light(signal: NDArray[np.uint16], transfer: int) -> Light:
    """What a display shows, in cd/m2."""
    if transfer == PQ:
        return _table(PQ)[signal]
    scene = _table(HLG)[signal]
    luminance = scene @ np.array(LUMINANCE_OF_BT2020, dtype=np.float32)
    rendering = np.maximum(luminance, 1e-6) ** np.float32(HLG_GAMMA - 1)
    return np.asarray(scene * rendering[..., None] * np.float32(HLG_PEAK), dtype=np.float32)


@cache
def _table(transfer: int) -> Light:
    """The light of each level: cd/m2 of PQ, from 0 to 1 of HLG (the scene's) and of SDR."""
    signal = np.arange(LEVELS) / (LEVELS - 1)
    curves = {PQ: _pq_to_light, HLG: _hlg_to_scene}
    curve = curves.get(transfer, lambda values: values**DISPLAY_GAMMA)
    return curve(signal).astype(np.float32)


@cache
def _shown() -> Pixels:
    """The 8 bits for each level of light from 0 to 1."""
    light = np.arange(LEVELS) / (LEVELS - 1)
    return np.rint(light ** (1 / DISPLAY_GAMMA) * 255).astype(np.uint8)


def _pq_to_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    root = signal ** (1 / M2)
    ratio = np.maximum(root - C1, 0) / (C2 - C3 * root)
    return np.asarray(BRIGHTEST * ratio ** (1 / M1))


def _light_to_pq(light: Light) -> Light:
    power = (np.maximum(light, 0) / np.float32(BRIGHTEST)) ** np.float32(M1)
    quotient = (np.float32(C1) + np.float32(C2) * power) / (1 + np.float32(C3) * power)
    return np.asarray(quotient ** np.float32(M2), dtype=np.float32)


def _hlg_to_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _below_white(light: Light) -> Light:
    """Tone mapping of (..., 3), white at 1: all three of a pixel by the ratio of their largest."""
    largest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    peak = float(np.percentile(largest, PEAK_PERCENTILE))
    if peak <= 1:
        return light
    # The ratio depends on the largest alone: a table of it costs less than powers of all pixels.
    lights = np.linspace(0, 1, STEPS, dtype=np.float32) ** 2 * np.float32(peak)
    wanted = _mapped(_light_to_pq(lights * np.float32(WHITE)), peak * WHITE)
    darker = _pq_to_light(wanted.astype(np.float64)) / WHITE
    ratios = np.divide(darker, lights, out=np.ones(STEPS), where=lights > 0)
    places = np.sqrt(np.minimum(largest / np.float32(peak), 1)) * np.float32(STEPS - 1)
    ratio = ratios.astype(np.float32)[np.rint(places).astype(np.int64)]
    return np.asarray(light * ratio[..., None], dtype=np.float32)


def _mapped(signal: Light, peak: float) -> Light:
    """The curve of BT.2390 on PQ signals: straight up to a knee, then a spline to white."""
    ends = _light_to_pq(np.array([peak, WHITE], dtype=np.float32))
    highest, most = float(ends[0]), float(ends[1] / ends[0])
    relative = np.minimum(signal / np.float32(highest), 1)
    knee = 1.5 * most - 0.5
    t = (relative - np.float32(knee)) / np.float32(1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return np.asarray(np.where(relative < knee, relative, spline) * highest, dtype=np.float32)
