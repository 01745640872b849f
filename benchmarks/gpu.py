"""Videos per second and memory on a GPU: systems and batches in turns within one run.

Random weights, frames already on the device. Writes results/benchmarks/gpu-<name of the GPU>.json;
progress goes to stderr. `--device cpu` tries the script where there is no GPU, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tempme.errors import BadSetting
from tempme.evaluation import timing
from tempme.results import runs as results
from tempme.retriever.placing import device_of
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

ROOT = Path(__file__).parents[1]
DENSE, SYSTEMS = "lora", ("lora", "tome", "tempme")
NOTES = {
    "speed_up": "median over rounds of the time of `lora` by that of the system, same round",
    "macs_ratio": "multiply-adds of `lora` by those of the system: the speed-up if all cost alike",
    "peak_mb": "the most that PyTorch held on the GPU while a system encoded, with all models",
    "paper": "its 45.1 videos per second are of TempMe on ViT-B/16 (results/paper.toml)",
}


def measure(options: argparse.Namespace, backbone: str, precision: str) -> list[dict[str, Any]]:
    """A row per system and batch."""
    systems = {name: zoo.system(name, backbone=backbone, frames=options.frames) for name in SYSTEMS}
    models = {
        name: Retriever.build(row, None, seed=0).for_inference(
            precision, "torch", str(options.device)
        )
        for name, row in systems.items()
    }
    rows = []
    for batch in options.batch:
        jobs = {name: timing.encoding(model, batch) for name, model in models.items()}
        seconds = timing.in_turns(jobs, rounds=options.rounds)
        for name, system in systems.items():
            rows.append(
                {"system": name, "backbone": backbone, "frames": options.frames, "batch": batch}
                | {"precision": precision, "rounds": options.rounds}
                | timing.summary(seconds[name], videos=batch)
                | {"speed_up": round(timing.ratio(seconds[DENSE], seconds[name]), 3)}
                | {"macs_ratio": round(systems[DENSE].cost().gmacs / system.cost().gmacs, 3)}
                | {"peak_mb": peak_mb(jobs[name], options.device)}
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def peak_mb(job: timing.Encoding, device: torch.device) -> float | None:
    """The most that the GPU holds while `job` runs; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    job()
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--backbone", nargs="+", default=["ViT-B/32", "ViT-B/16"])
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    options = parser.parse_args()
    try:
        options.device = device_of(options.device)
    except BadSetting as wrong:
        parser.error(str(wrong))
    rows = [
        row
        for backbone, precision in product(options.backbone, options.precision)
        for row in measure(options, backbone, precision)
    ]
    if options.device.type != "cuda":
        return
    name = torch.cuda.get_device_name(options.device)
    report = {"notes": NOTES, **results.environment(), "gpu": name, "rows": rows}
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    print(results.write(report, options.out / f"gpu-{words}.json"))


if __name__ == "__main__":
    main()
