"""CPU seconds and memory of a training step: as it is on a CPU, and plainly, in turns in one run.

Plainly is what other devices run, and what a CPU ran before: layers, MLPs and attention as PyTorch
has them. Random weights and videos. Memory is the most that a process of its own holds in one
step. Writes results/benchmarks/training-<machine>.json; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any
from unittest import mock

import torch

from jobs import asked, conditions, held
from tempme.backbones import attention, learning
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.training.losses import contrastive_loss
from tempme.training.memory import keep_freed_memory

SYSTEMS = {"clip4clip": "dense, full", "lora": "dense, LoRA", "tempme": "TempMe, LoRA"}
WAYS = ("plain", "cpu")
NOTES = {
    "seconds": "CPU seconds of a step: texts and videos encoded, the loss, the way back; median "
    "over rounds. Optimiser and data are left out, which are the same",
    "time_ratio": "median over rounds of seconds by those of the plain step, same round",
    "peak_mb": "the most that a process of its own holds: PyTorch, weights and one step",
    "memory_ratio": "peak_mb by that of the plain step",
}


@dataclass(frozen=True)
class Step:
    """One system learning from one batch in one precision."""

    system: str
    precision: str
    batch: int
    backbone: str = "ViT-B/32"
    frames: int = 12
    words: int = 32

    def model(self) -> Retriever:
        """The system with random weights."""
        row = zoo.system(self.system, backbone=self.backbone, frames=self.frames)
        return Retriever.build(row, None, seed=0).train()

    def run(self, model: Retriever, *, batch: int | None = None) -> Callable[[], object]:
        """A step of noise, its gradients dropped."""
        count, size = batch or self.batch, model.image_size
        frames = torch.randn(count, self.frames, 3, size, size)
        ids = torch.randint(1, model.backbone.config.vocab - 1, (count, self.words))
        ids[:, -1] = model.backbone.config.vocab - 1
        half = self.precision == "bf16-mixed"

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
                texts, videos = model.encode_texts(ids), model.encode_videos(frames)
                loss = contrastive_loss(texts, videos, model.backbone.logit_scale)
            loss.backward()  # type: ignore[no-untyped-call]
            model.zero_grad()

        return step


@contextmanager
def as_said(way: str) -> Iterator[None]:
    """What learns on a CPU is run as it is, or plainly."""
    if way == "cpu":
        yield
        return
    with (
        mock.patch.object(learning, "_known_types", return_value=()),
        mock.patch.object(attention, "_recomputes", return_value=False),
    ):
        yield


def seconds_of(step: Step, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of both ways, round by round, after a small step of each to warm up."""
    model = step.model()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        run = step.run(model, batch=None if number else 1)
        for way in WAYS:
            with as_said(way):
                begin = time.process_time()
                run()
            if number:
                seconds[way].append(time.process_time() - begin)
    return seconds


def peak_mb(step: Step, way: str) -> float:
    """MB that a process of its own holds at most."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_here, step, way, torch.get_num_threads()).result()


def _peak_here(step: Step, way: str, threads: int) -> float:
    torch.set_num_threads(threads)
    keep_freed_memory()
    with as_said(way):
        return held(step.run(step.model()))["peak_mb"]


def row_of(step: Step, rounds: int) -> dict[str, Any]:
    """A step both ways."""
    seconds = seconds_of(step, rounds)
    peaks = {way: peak_mb(step, way) for way in WAYS}
    pairs = zip(seconds["cpu"], seconds["plain"], strict=True)
    return {
        "system": step.system,
        "learns": SYSTEMS[step.system],
        "precision": step.precision,
        "batch": step.batch,
        "rounds": rounds,
        "seconds": {way: round(statistics.median(seconds[way]), 3) for way in WAYS},
        "time_ratio": round(statistics.median(ours / plain for ours, plain in pairs), 3),
        "peak_mb": peaks,
        "memory_ratio": round(peaks["cpu"] / peaks["plain"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16-mixed"])
    parser.add_argument("--batch", type=int, default=4)
    options = asked(parser, rounds=1)
    keep_freed_memory()
    report: dict[str, Any] = {"notes": NOTES, **results.environment(), **conditions()}
    report |= {"backbone": Step.backbone, "frames": Step.frames, "words": Step.words, "rows": []}
    target = options.out / f"training-{results.machine()}.json"
    for name, precision in product(options.systems, options.precision):
        report["rows"].append(row_of(Step(name, precision, options.batch), options.rounds))
        print(json.dumps(report["rows"][-1]), file=sys.stderr, flush=True)
        results.write(report, target)
    print(target)


if __name__ == "__main__":
    main()
