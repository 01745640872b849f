"""CPU seconds for an hour of footage: decoded by every sampling, encoded by every engine.

Footage is cut as an index cuts it (a frame a second, windows of 12 that overlap by half); it is
drawn as in `benchmarks/decode.py`, harder to decode than most, and moves all the time: `auto` finds
only near keyframes in it. One thread; what is compared goes in turns. ratio: to `exact`, and to the
dense ViT-B/32 in fp32. Writes results/benchmarks/hour-<machine>.json; about three minutes of a
quiet machine.

    python benchmarks/hour.py [--seconds 12] [--repeats 2] [--sizes 720p 1080p] [--engines torch]

--engines onnx openvino: these, too; making one of a ViT-B/32 takes a minute the first time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decode import cpu_seconds, draw
from tempme.engines.choice import ENGINES
from tempme.index.building.encode import encode_windows
from tempme.results.runs import environment, machine, write
from tempme.retriever.footage import windows_of
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.video import Reading, load_windows

ROOT = Path(__file__).parents[1]
SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
CODECS, GROUPS = ("h264", "hevc", "av1"), (250, 50)
MODES = ("exact", "auto", "fast")
BIG, SHIPPED, DENSE = "ViT-B/32", "scenes-tiny", "lora"
HOUR, FRAMES, WINDOW = 3600, 48, 12
MIXED = "bf16-mixed"  # for training's sake; nobody encodes an hour in it


def in_turns(jobs: Mapping[str, Callable[[], Any]], seconds: float, repeats: int) -> dict[str, Any]:
    """CPU seconds of an hour by each of the jobs, which do so many seconds of it, and ratios."""
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            spent[name].append(cpu_seconds(job))
    middle = {name: statistics.median(times) for name, times in spent.items()}
    first = middle[next(iter(jobs))]
    return {
        "cpu_seconds": {name: round(own * HOUR / seconds, 1) for name, own in middle.items()},
        "ratio": {name: round(own / first, 3) for name, own in middle.items()},
    }


def decoding(sizes: Sequence[str], seconds: int, repeats: int) -> dict[str, Any]:
    """Codec, size and length of groups -> CPU seconds of every sampling."""
    rows = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            made = draw(Path(folder), SIZES[size], seconds, groups=GROUPS, codecs=CODECS)
            for name, path in made.items():
                jobs = {mode: partial(load_windows, path, Reading(sampling=mode)) for mode in MODES}
                rows[name] = in_turns(jobs, seconds, repeats)
                print(name, rows[name], flush=True)
    return rows


def encoding(engines: Sequence[str], repeats: int) -> dict[str, Any]:
    """CPU seconds of every model by every engine and precision."""
    models = {
        f"{BIG}, dense": Retriever.build(system(DENSE, backbone=BIG), None, seed=0),
        f"{BIG}, tempme": Retriever.build(system("tempme", backbone=BIG), None, seed=0),
        SHIPPED: Retriever.load(SHIPPED),
    }
    jobs = {}
    for name, model in models.items():
        for engine in engines:
            for precision in ENGINES[engine]:
                if precision != MIXED:
                    ready = model.for_inference(precision, engine)
                    jobs[f"{name}, {engine} {precision}"] = film_of(ready)
    for job in jobs.values():
        job()  # lays weights out
    return in_turns(jobs, FRAMES, repeats)


def film_of(ready: Retriever) -> Callable[[], Any]:
    """Encode a film of `FRAMES` seconds."""
    size = ready.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (FRAMES, size, size, 3), dtype=np.uint8)
    windows = windows_of(FRAMES, window=WINDOW, stride=WINDOW // 2).numpy()
    return partial(encode_windows, ready, pixels, windows=windows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["720p", "1080p"])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["torch"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    report = {
        **{key: environment()[key] for key in ("machine", "commit")},
        "load_average": round(os.getloadavg()[0], 1),
        "drawn_seconds": asked.seconds,
        "repeats": asked.repeats,
        "encode": encoding(asked.engines, asked.repeats),
    }
    print(report["encode"], flush=True)
    report["decode"] = decoding(asked.sizes, asked.seconds, asked.repeats)
    write(report, ROOT / "results" / "benchmarks" / f"hour-{machine()}.json")


if __name__ == "__main__":
    main()
