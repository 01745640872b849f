"""Videos per second of UMT: all frames at once, frame by frame, and merged, in turns in one run.

Random weights of UMT-B/16's sizes, frames in memory, one thread by default, so that seconds are
those at work. Writes results/benchmarks/umt-<machine>.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch

from jobs import asked, conditions
from tempme.evaluation import timing as benchmark
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.systems.table import UMT, system

JOINT = "umt"
GOAL = 0.85
NOTES = {
    "speed_up": "median over rounds of the time of `umt` by that of the system, same round",
    "macs_ratio": "multiply-adds of `umt` by those of the system: the speed-up if all cost alike",
    "share_of_ratio": f"speed_up / macs_ratio; {GOAL} or more is the goal",
    "clock": "with one thread, seconds that it was at work, as others use the machine, too; with "
    "more threads, seconds that passed",
}


def measure(backbone: str, *, frames: int, batch: int, precision: str, rounds: int) -> list[Any]:
    """A row per system of the table."""
    rows = [system(name, backbone=backbone, frames=frames) for name in UMT]
    ready = {
        row.name: benchmark.encoding(
            Retriever.build(row, None, seed=0).for_inference(precision), batch
        )
        for row in rows
    }
    seconds = benchmark.in_turns(ready, rounds=rounds)
    dense = rows[0].cost().gmacs
    made = []
    for row in rows:
        faster = benchmark.ratio(seconds[JOINT], seconds[row.name])
        due = dense / row.cost().gmacs
        made.append(
            {"system": row.name, "backbone": backbone, "frames": frames, "batch": batch}
            | {"precision": precision, "threads": torch.get_num_threads(), "rounds": rounds}
            | benchmark.summary(seconds[row.name], videos=batch)
            | {"gmacs": round(row.cost().gmacs, 2), "speed_up": round(faster, 3)}
            | {"macs_ratio": round(due, 3), "share_of_ratio": round(faster / due, 3)}
        )
        print(json.dumps(made[-1]), file=sys.stderr, flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", nargs="+", default=["UMT-B/16"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--batch", type=int, default=1)
    options = asked(parser, rounds=5)
    made = [
        row
        for backbone in options.backbone
        for precision in options.precision
        for row in measure(
            backbone,
            frames=options.frames,
            batch=options.batch,
            precision=precision,
            rounds=options.rounds,
        )
    ]
    report: dict[str, Any] = {"notes": NOTES, **results.environment(), **conditions()}
    document = report | {"rows": made}
    print(results.write(document, options.out / f"umt-{results.machine()}.json"))


if __name__ == "__main__":
    main()
