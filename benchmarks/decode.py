"""What sampling costs: exact, keyframes and auto beside a plain sequential decode.

Run: python benchmarks/decode.py [--clips FOLDER] [--model MODEL] [--seconds 20]
Writes results/benchmarks/decode-<machine>.json. All figures are CPU seconds of one process with
one thread, taken in alternation within one run; ratios to the sequential loop are what to read.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

import tempme
from tempme.video import Failure, Frames, VideoWindows, load, load_windows, windows
from tempme.video.transforms import square, square_by_pillow

ROOT = Path(__file__).parents[1]
MODES = ("exact", "keyframes", "auto")
X264 = {"preset": "veryfast", "threads": "1"}
# Codec, size, options; groups of 250 are x264's default, of 50 a streaming site's.
DRAWN: dict[str, tuple[str, str, tuple[int, int], dict[str, str]]] = {
    "h264 360p, groups of 250": ("a.mp4", "libx264", (640, 360), {**X264, "g": "250"}),
    "h264 720p, groups of 250": ("b.mp4", "libx264", (1280, 720), {**X264, "g": "250"}),
    "h264 720p, groups of 50": ("c.mp4", "libx264", (1280, 720), {**X264, "g": "50"}),
    "h264 720p, groups of 25": ("d.mp4", "libx264", (1280, 720), {**X264, "g": "25"}),
    "hevc 720p, groups of 250": (
        "e.mp4",
        "libx265",
        (1280, 720),
        {"preset": "ultrafast", "x265-params": "log-level=none:keyint=250:pools=1"},
    ),
    "vp9 720p, groups of 128": (
        "f.webm",
        "libvpx-vp9",
        (1280, 720),
        {"deadline": "realtime", "cpu-used": "8", "g": "128"},
    ),
    "av1 720p, groups of 160": (
        "g.mp4",
        "libsvtav1",
        (1280, 720),
        {"preset": "12", "svtav1-params": "keyint=160:lp=1"},
    ),
}


def machine() -> str:
    """Model and cores of this machine as a file name."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = re.sub(r"\(.*?\)|Processor|CPU|@.*", "", names[0] if names else platform.machine())
    words = re.findall(r"[a-z0-9]+", model.lower())
    return "-".join([*words, f"{os.cpu_count()}core"])


def draw(path: Path, codec: str, size: tuple[int, int], options: dict[str, str], seconds: int):
    """A moving, grainy picture, 25 frames a second: neither easy nor noise."""
    width, height = size
    rng = np.random.default_rng(0)
    field = rng.integers(0, 256, (height // 8 + 64, width // 8 + 64, 3), dtype=np.uint8)
    wide = np.kron(field, np.ones((8, 8, 1), dtype=np.uint8))
    grain = rng.integers(0, 12, (height, width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(25 * seconds):
            y, x = number % 500, (number * 3) % 500
            picture = wide[y : y + height, x : x + width] // 2 + np.roll(grain, number, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))


def sequential(path: Path) -> None:
    """The plain loop: decode every frame, keep the ones the windows ask for."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1
        duration = (file.duration or 0) / av.time_base
        wanted = sorted({s for window in windows(duration) for s in window.seconds})
        kept, before = [], None
        for frame in file.decode(stream):
            while wanted and wanted[0] < frame.time:
                wanted.pop(0)
                kept.append(square(before or frame, 224))
            before = frame


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(path: Path, repeats: int) -> dict[str, Any]:
    """CPU seconds of the sequential loop and each mode's ratio to it: median, least, most."""
    jobs: dict[str, Callable[[], Any]] = {"sequential": lambda: sequential(path)}
    for mode in MODES:
        jobs[mode] = lambda mode=mode: load_windows(path, sampling=mode)
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            spent[name].append(cpu_seconds(job))
    row: dict[str, Any] = {
        "sequential_cpu_seconds": round(statistics.median(spent["sequential"]), 3)
    }
    for mode in MODES:
        ratios = [a / b for a, b in zip(spent[mode], spent["sequential"], strict=True)]
        row[f"{mode}_ratio"] = [round(f(ratios), 3) for f in (statistics.median, min, max)]
        row[f"{mode}_frames"] = _num_frames(load_windows(path, sampling=mode))
    return row


def _num_frames(found: VideoWindows | Failure) -> int:
    return len(found.pixels) if isinstance(found, VideoWindows) else 0


def scaler_error(clips: Sequence[Path]) -> dict[str, float]:
    """How far FFmpeg's scaler is from Pillow on the first frame of each clip, in grey levels."""
    means, highs, spent = [], [], [0.0, 0.0]
    for path in clips:
        with av.open(str(path)) as file:
            frame = next(file.decode(video=0))
        fast, slow = square(frame, 224), square_by_pillow(frame, 224)
        spent[0] += cpu_seconds(lambda frame=frame: square(frame, 224))
        spent[1] += cpu_seconds(lambda frame=frame: square_by_pillow(frame, 224))
        apart = np.abs(fast.astype(int) - slow)
        means.append(float(apart.mean()))
        highs.append(float(np.percentile(apart, 99)))
    return {
        "mean": round(statistics.mean(means), 3),
        "worst_mean": round(max(means), 3),
        "worst_99th_percentile": max(highs),
        "cpu_ratio_to_pillow": round(spent[0] / spent[1], 3),
    }


Encoder = Callable[[np.ndarray], np.ndarray]


def drift(clips: Sequence[Path], encode: Encoder) -> dict[str, dict[str, float]]:
    """Cosine of each clip's feature to the one from exact frames, per mode.

    `encode` takes (F, S, S, 3) uint8 and returns one unit feature (D,). Clips in which a mode
    uses the very frames of `exact` count as well: that is what a folder of videos would see.
    """
    cosines: dict[str, list[float]] = {"keyframes": [], "auto": []}
    for path in clips:
        exact = load(path, sampling="exact")
        if not isinstance(exact, Frames):
            continue
        feature = encode(exact.pixels)
        for mode, values in cosines.items():
            found = load(path, sampling=mode)
            if isinstance(found, Frames):
                values.append(float(feature @ encode(found.pixels)))
    return {mode: _spread(values) for mode, values in cosines.items()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, middle = np.percentile(values, [5, 50])
    return {
        "mean": round(float(np.mean(values)), 4),
        "median": round(float(middle), 4),
        "5th_percentile": round(float(low), 4),
        "least": round(min(values), 4),
        "share_below_0.95": round(float(np.mean(np.array(values) < 0.95)), 3),
    }


def encoder_of(model: str) -> Encoder:
    """A saved retriever or published tag as an encoder of frames."""
    import torch

    retriever = tempme.load(model)

    def encode(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            frames = retriever.transform(pixels)[None]
            return retriever.encode_videos(frames)[0].float().numpy()

    return encode


def real(clips: Sequence[Path]) -> Iterator[Path]:
    """Clips long enough to be worth timing."""
    for path in clips:
        found = load_windows(path, sampling="keyframes", max_windows=1)
        if isinstance(found, VideoWindows) and found.info.duration_seconds > 20:
            yield path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    kinds = {".mp4", ".avi", ".mkv", ".gif"}
    clips = sorted(p for p in asked.clips.glob("*") if p.suffix in kinds)
    report: dict[str, Any] = {
        "machine": machine(),
        "av": av.__version__,
        "load_average": round(os.getloadavg()[0], 1),
        "drawn_seconds": asked.seconds,
        "repeats": asked.repeats,
        "ratio": "CPU seconds relative to the sequential loop: median, least, most",
        "drawn": {},
        "real": {},
    }
    if clips:
        report["scaler_error_levels"] = scaler_error(clips)
    for path in real(clips):
        report["real"][path.name] = compare(path, asked.repeats)
        write(report)
        print(path.name, report["real"][path.name], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, codec, size, options) in DRAWN.items():
            path = Path(folder) / file
            draw(path, codec, size, options, asked.seconds)
            report["drawn"][name] = compare(path, asked.repeats)
            write(report)
            print(name, report["drawn"][name], flush=True)
    if asked.model:
        report["model"] = asked.model
        report["cosine_to_exact"] = drift(clips, encoder_of(asked.model))
        write(report)


def write(report: dict[str, Any]) -> None:
    """Keep what has been measured so far: a run takes minutes."""
    target = ROOT / "results" / "benchmarks" / f"decode-{report['machine']}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
