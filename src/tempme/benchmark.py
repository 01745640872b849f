"""How fast systems encode videos: measured in turns, with the machine in the result.

A processor that others use, too, or that heats up, is slower at one moment than at the next. So
what is compared runs in turns within one process, and ratios are those of neighbouring turns.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tempme import precision as numbers
from tempme.retriever import Retriever
from tempme.zoo import system

# Products of these shapes are as large as those of ViT-B, and larger: (rows, inside, columns).
_PRODUCTS = ((600, 768, 3072), (2400, 768, 3072), (2048, 2048, 2048))

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Job:
    """One system encoding batches of one size in one precision."""

    system: str
    backbone: str = "ViT-B/32"
    frames: int = 12
    batch: int = 1
    precision: str = "fp32"

    def prepare(self) -> Callable[[], object]:
        """A model with random weights and a batch of noise, ready to be encoded."""
        ready = _ready(self)
        size = ready.image_size
        videos = torch.randn(self.batch, self.frames, 3, size, size)

        def encode() -> object:
            with torch.inference_mode():
                return ready.encode_videos(videos)

        return encode

    @property
    def gmacs(self) -> float:
        """Giga multiply-adds of a video, as `System.cost` counts them."""
        return system(self.system, backbone=self.backbone, frames=self.frames).cost().gmacs


def in_turns(jobs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each job in each round; every round runs all of them, after one to warm up."""
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def summary(seconds: list[float], *, videos: int) -> dict[str, float]:
    """Videos per second: median, and the least and most of all rounds."""
    rates = [videos / each for each in seconds]
    return {
        "videos_per_second": round(statistics.median(rates), 4),
        "least": round(min(rates), 4),
        "most": round(max(rates), 4),
    }


def ratio(slower: list[float], faster: list[float]) -> float:
    """How many times as fast: the median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def matmul_peak(precision: str, *, rounds: int = 5) -> float:
    """Giga multiply-adds per second of plain matrix products: the best of shapes and rounds."""
    dtype = numbers.dtype(precision)
    best = 0.0
    for rows, inside, columns in _PRODUCTS:
        a, b = torch.randn(rows, inside, dtype=dtype), torch.randn(inside, columns, dtype=dtype)
        seconds = in_turns({"product": lambda a=a, b=b: a @ b}, rounds=rounds)["product"]  # type: ignore[misc]
        best = max(best, rows * inside * columns / min(seconds) / 1e9)
    return best


def peak_memory(job: Job) -> dict[str, float]:
    """MB that a process of its own holds at most: before it encodes, and while it does."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory_of, job, torch.get_num_threads()).result()


def conditions() -> dict[str, Any]:
    """What a measurement depends on, besides the machine."""
    return {
        "threads": torch.get_num_threads(),
        "has_bf16_products": numbers.has_bf16("cpu"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def _ready(job: Job) -> Retriever:
    made = system(job.system, backbone=job.backbone, frames=job.frames)
    return made.build(seed=0).for_inference(job.precision)


def _memory_of(job: Job, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    encode = job.prepare()
    # Building the model held more than encoding may: the mark starts anew (Linux alone can).
    with suppress(OSError):
        _CLEAR.write_text("5")
    before = _status_mb("VmRSS")
    encode()
    return {"before_mb": before, "peak_mb": _status_mb("VmHWM")}


def _status_mb(key: str) -> float:
    """An entry of this process's status; the highest mark ever where there is no such thing."""
    try:
        lines = _STATUS.read_text("utf-8").splitlines()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, on macOS
        return round(most / 1e6, 1)
    kib = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return round(int(kib) * 1024 / 1e6, 1)
