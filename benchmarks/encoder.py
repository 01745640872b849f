"""Videos per second of the encoder: no compression, ToMe and TempMe in turns, LoRA folded.

Random weights, frames in memory, the machine's own measured peak of matrix products beside it.
Writes results/benchmarks/encoder-<machine>.json; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from tempme import benchmark, results
from tempme.benchmark import Job

ROOT = Path(__file__).parents[1]
DENSE, SYSTEMS = "lora", ("lora", "tome", "tempme")
NOTES = {
    "speed_up": "median over rounds of the time of `lora` by that of the system, same round",
    "macs_ratio": "multiply-adds of `lora` by those of the system: the speed-up if all cost alike",
    "share_of_ratio": "speed_up / macs_ratio",
    "share_of_peak": "multiply-adds done per second / those of plain matrix products in the same "
    "precision; the last block, which asks for class tokens alone, counts as if it were whole",
}


def measure(backbone: str, *, frames: int, batch: int, precision: str, rounds: int) -> list[Any]:
    """A row per system."""
    jobs = {name: Job(name, backbone, frames, batch, precision) for name in SYSTEMS}
    peak = benchmark.matmul_peak(precision)
    seconds = benchmark.in_turns({n: j.prepare() for n, j in jobs.items()}, rounds=rounds)
    rows = []
    for name, job in jobs.items():
        rates = benchmark.summary(seconds[name], videos=batch)
        faster = benchmark.ratio(seconds[DENSE], seconds[name])
        due = jobs[DENSE].gmacs / job.gmacs
        rows.append(
            {"system": name, "backbone": backbone, "frames": frames, "batch": batch}
            | {"precision": precision, **rates, "gmacs": round(job.gmacs, 2)}
            | {"speed_up": round(faster, 3), "macs_ratio": round(due, 3)}
            | {"share_of_ratio": round(faster / due, 3)}
            | {"share_of_peak": round(rates["videos_per_second"] * job.gmacs / peak, 3)}
            | benchmark.peak_memory(job)
        )
    return rows


def over_fp32(rows: list[Any]) -> list[Any]:
    """How many times as fast each other precision is, system by system."""
    key = ("system", "backbone", "batch")
    plain = {tuple(r[k] for k in key): r for r in rows if r["precision"] == "fp32"}
    faster = []
    for row in rows:
        exact = plain.get(tuple(row[k] for k in key))
        if exact is None or row is exact:
            continue
        times = row["videos_per_second"] / exact["videos_per_second"]
        faster.append({k: row[k] for k in (*key, "precision")} | {"over_fp32": round(times, 3)})
    return faster


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", nargs="+", default=["ViT-B/32", "ViT-B/16"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = {"notes": NOTES, **results.environment(), **benchmark.conditions()}
    report["peak_gmacs_per_second"] = {
        precision: round(benchmark.matmul_peak(precision), 1) for precision in options.precision
    }
    rows: list[Any] = []
    for backbone in options.backbone:
        for precision in options.precision:
            for batch in options.batch:
                settings = {"frames": options.frames, "batch": batch, "precision": precision}
                rows += measure(backbone, **settings, rounds=options.rounds)
                print(*map(json.dumps, rows[-len(SYSTEMS) :]), sep="\n", file=sys.stderr)
    report |= {"rows": rows, "over_fp32": over_fp32(rows)}
    target = options.out / f"encoder-{results.machine()}.json"
    print(results.write(report, target))


if __name__ == "__main__":
    main()
