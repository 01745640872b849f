"""What sampling costs: exact, keyframes, auto and fast beside a plain sequential decode.

Run: python benchmarks/decode.py [--clips FOLDER] [--model MODEL] [--seconds 12]
Writes results/benchmarks/decode-<machine>.json. All figures are CPU seconds of one process with
one thread, taken in alternation within one run; ratios to the sequential loop are what to read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

import tempme
from tempme.results.runs import environment, machine
from tempme.video import (
    Failure,
    Frames,
    Reading,
    VideoWindows,
    decode,
    load,
    load_windows,
    windows,
)
from tempme.video.colour import BT2020, HLG, PQ, to_sdr
from tempme.video.transforms import square, square_by_pillow

ROOT = Path(__file__).parents[1]
MODES = ("exact", "keyframes", "auto", "fast")
SIZES = {"360p": (640, 360), "720p": (1280, 720)}
# 250 is x264's default, 50 a streaming site's.
GROUPS = (250, 50, 25)
FPS = 25
CODECS: dict[str, tuple[str, str, Callable[[int], dict[str, str]]]] = {
    "h264": (
        "mp4",
        "libx264",
        lambda group: {"preset": "veryfast", "threads": "1", "g": f"{group}"},
    ),
    "hevc": (
        "mp4",
        "libx265",
        lambda group: {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:keyint={group}:pools=1:frame-threads=1",
        },
    ),
    "vp9": (
        "webm",
        "libvpx-vp9",
        lambda group: {"deadline": "realtime", "cpu-used": "8", "g": f"{group}"},
    ),
    "av1": (
        "mp4",
        "libsvtav1",
        lambda group: {"preset": "12", "svtav1-params": f"keyint={group}:lp=1"},
    ),
}
os.environ.setdefault("SVT_LOG", "1")  # errors alone: SVT-AV1 tells its settings for every film
# How long the file is from which few frames are wanted.
LONG_MINUTES = 10


def draw(
    folder: Path,
    size: tuple[int, int],
    seconds: int,
    *,
    groups: Sequence[int] = GROUPS,
    codecs: Sequence[str] = tuple(CODECS),
) -> dict[str, Path]:
    """A moving, grainy picture by each of the codecs: neither easy nor noise; name -> file."""
    width, height = size
    made: dict[str, Path] = {}
    with ExitStack() as files:
        outs = []
        for codec in codecs:
            suffix, encoder, options_for = CODECS[codec]
            for group in groups:
                name = f"{codec} {height}p, groups of {group}"
                made[name] = folder / f"{name}.{suffix}"
                out = files.enter_context(av.open(str(made[name]), "w"))
                stream = out.add_stream(encoder, rate=FPS, options=options_for(group))
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                outs.append((out, stream))
        for picture in pictures(width, height, FPS * seconds):
            for out, stream in outs:
                out.mux(stream.encode(picture))
            # Run by the superuser, SVT-AV1 makes the process real-time, and starves the machine.
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        for out, stream in outs:
            out.mux(stream.encode(None))
    return made


def pictures(width: int, height: int, count: int) -> Iterator[av.VideoFrame]:
    """A field of blocks that slides under a rolling grain."""
    rng = np.random.default_rng(0)
    field = rng.integers(0, 256, (height // 8 + 64, width // 8 + 64, 3), dtype=np.uint8)
    wide = np.kron(field, np.ones((8, 8, 1), dtype=np.uint8)) // 2
    grain = rng.integers(0, 12, (height, width, 3), dtype=np.uint8)
    for number in range(count):
        y, x = number % 500, (number * 3) % 500
        picture = wide[y : y + height, x : x + width] + np.roll(grain, number, axis=1)
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


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
        jobs[mode] = lambda mode=mode: load_windows(path, Reading(sampling=mode))
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
        row[f"{mode}_frames"] = _num_frames(load_windows(path, Reading(sampling=mode)))
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


def colour_cost(repeats: int) -> dict[str, float]:
    """CPU milliseconds of a square of 224 from 16 bits of HDR, beside a whole one of 4K SDR."""
    signal = np.random.default_rng(0).integers(0, 50_000, (224, 224, 3)).astype(np.uint16)
    frame = next(pictures(3840, 2160, 1))
    jobs: dict[str, Callable[[], Any]] = {
        "pq": lambda: to_sdr(signal, PQ, BT2020),
        "hlg": lambda: to_sdr(signal, HLG, BT2020),
        "square_of_4k_sdr": lambda: square(frame, 224),
    }
    spent = {}
    for name, job in jobs.items():
        job()
        times = [cpu_seconds(job) for _ in range(10 * repeats)]
        spent[name] = round(1000 * statistics.median(times), 2)
    return spent


def few_of_many(path: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """CPU seconds for 12 frames spread over a long film: by seeking, and by reading on."""
    row: dict[str, Any] = {}
    for suffix in ("mp4", "mkv"):
        film = folder / f"film.{suffix}"
        num_packets = lengthen(path, film)
        kept, spent = decode.SEEK_FROM, {}
        for way, seek_from in (("seek", kept), ("read", 10**9)):
            decode.SEEK_FROM = seek_from
            look = partial(load, film, Reading(sampling="keyframes"))
            times = [cpu_seconds(look) for _ in range(repeats)]
            spent[way] = round(statistics.median(times), 3)
        decode.SEEK_FROM = kept
        row[suffix] = {"packets": num_packets, "cpu_seconds": spent}
    return row


def lengthen(path: Path, film: Path) -> int:
    """The same film over and over, without encoding again; the number of packets."""
    with av.open(str(path)) as source:
        packets = [p for p in source.demux(video=0) if p.size]
        span = round(len(packets) / FPS / packets[0].time_base)
        times = [(packet.pts, packet.dts) for packet in packets]
        rounds = LONG_MINUTES * 60 * FPS // len(packets)
        with av.open(str(film), "w") as out:
            stream = out.add_stream_from_template(source.streams.video[0])
            for turn in range(rounds):
                for packet, (pts, dts) in zip(packets, times, strict=True):
                    packet.stream = stream
                    packet.time_base = source.streams.video[0].time_base
                    packet.pts, packet.dts = pts + turn * span, dts + turn * span
                    out.mux(packet)
    return rounds * len(packets)


Encoder = Callable[[np.ndarray], np.ndarray]


def drift(clips: Sequence[Path], encode: Encoder, *, size: int) -> dict[str, dict[str, float]]:
    """Cosine of each clip's feature to the one from exact frames, per mode.

    `encode` takes (F, S, S, 3) uint8, S = `size`, and returns one unit feature (D,). Clips in
    which a mode uses the very frames of `exact` count as well: that is what a folder of videos
    would see.
    """
    cosines: dict[str, list[float]] = {mode: [] for mode in MODES[1:]}
    for path in clips:
        exact = load(path, Reading(size=size, sampling="exact"))
        if not isinstance(exact, Frames):
            continue
        feature = encode(exact.pixels)
        for mode, values in cosines.items():
            found = load(path, Reading(size=size, sampling=mode))
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


def drift_of(clips: Sequence[Path], model: str) -> dict[str, dict[str, float]]:
    """The drift of a saved retriever or published tag."""
    import torch

    retriever = tempme.load(model)

    def encode(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            frames = retriever.transform(pixels)[None]
            return retriever.encode_videos(frames)[0].float().numpy()

    return drift(clips, encode, size=retriever.image_size)


def real(clips: Sequence[Path]) -> Iterator[Path]:
    """Clips long enough to be worth timing."""
    for path in clips:
        found = load_windows(path, Reading(sampling="keyframes"), max_windows=1)
        if isinstance(found, VideoWindows) and found.info.duration_seconds > 20:
            yield path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    kinds = {".mp4", ".avi", ".mkv", ".gif"}
    clips = sorted(p for p in asked.clips.glob("*") if p.suffix in kinds)
    report: dict[str, Any] = {
        "machine": machine(),
        "pinned_to_cores": sorted(os.sched_getaffinity(0)),
        "nice": os.nice(0),
        "commit": environment()["commit"],
        "load_average": round(os.getloadavg()[0], 1),
        "av": av.__version__,
        "drawn_seconds": asked.seconds,
        "repeats": asked.repeats,
        "ratio": "CPU seconds relative to the sequential loop: median, least, most",
        "drawn": {},
        "real": {},
    }
    if asked.model:
        report["model"] = asked.model
        report["fingerprint"] = tempme.load(asked.model).fingerprint
        report["cosine_to_exact"] = drift_of(clips, asked.model)
        write(report)
    report["hdr_cpu_ms_a_square"] = colour_cost(asked.repeats)
    measure_drawn(report, asked.seconds, asked.repeats)
    if clips:
        report["scaler_error_levels"] = scaler_error(clips)
    for path in real(clips):
        report["real"][path.name] = compare(path, asked.repeats)
        write(report)
        print(path.name, report["real"][path.name], flush=True)


def measure_drawn(report: dict[str, Any], seconds: int, repeats: int) -> None:
    """Every codec, size and group, and a few frames of a long film."""
    for size in SIZES.values():
        with tempfile.TemporaryDirectory() as folder:
            made = draw(Path(folder), size, seconds)
            for name, path in made.items():
                report["drawn"][name] = compare(path, repeats)
                write(report)
                print(name, report["drawn"][name], flush=True)
            film = made[f"h264 {size[1]}p, groups of 50"]
            key = f"12_keyframes_of_{LONG_MINUTES}_minutes_{size[1]}p"
            report[key] = few_of_many(film, Path(folder), repeats)
            write(report)
            print(key, report[key], flush=True)


def write(report: dict[str, Any]) -> None:
    """Keep what has been measured so far: a run takes minutes."""
    target = ROOT / "results" / "benchmarks" / f"decode-{report['machine']}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
