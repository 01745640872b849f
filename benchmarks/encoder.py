"""Videos per second of the encoder: systems in turns within one run, everything folded.

Random weights, frames in memory, the machine's own measured peak of matrix products beside it.
Writes results/benchmarks/<name>-<machine>.json; progress goes to stderr. With `--systems all`
every row of the table runs (one of those that are the same once folded), those that make prompts
with and without making them. With `--extend` rows that the file has from before stay, unless this
run measures them anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch

import jobs as benchmark
from jobs import Shared, TimedJob
from tempme.evaluation import timing
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.tuning import Full, LoRA

ROOT = Path(__file__).parents[1]
DENSE, MAIN = "lora", ("lora", "tome", "tempme")
KEY = ("system", "prompts", "backbone", "frames", "batch", "precision", "threads")
GOAL = 0.85
NOTES = {
    "speed_up": "median over rounds of the time of `lora` by that of the system, same round",
    "macs_ratio": "multiply-adds of `lora` by those of the system: the speed-up if all cost alike",
    "share_of_ratio": f"speed_up / macs_ratio; {GOAL} or more is the goal of compressions",
    "share_of_peak": "multiply-adds done per second / those of plain matrix products in the same "
    "precision",
    "peak_mb": "what a process of its own holds at most, of which before_mb before it encodes",
    "below_the_goal": "vop-c and vop-fc make prompts by a recurrent layer, which reads all of its "
    "weights for one frame of each video at a time: it waits for memory, in batches less. "
    "Adapters have products of 8 columns, far below the peak. token-reduction merges twice in each "
    "of three blocks; moving tokens is no multiply-add",
    "clock": "with one thread, seconds that it was at work, as others use the machine, too; with "
    "more threads, seconds that passed",
    "prompts": "`made` in every call, or `given` as constants, as the paper counts them; null: the "
    "system makes none. Those of vop-c and vop-fc depend on the video and have to be made for "
    "each; those of dgl and dgl-transformer depend on what learnt alone and are made once a model",
}


def jobs_of(systems: list[str], **settings: Any) -> dict[str, TimedJob]:
    """A job per system, and a second one with prompts the other way where it makes some."""
    jobs = {}
    for name in systems:
        jobs[name] = TimedJob(name, **settings)
        kind = jobs[name].kind_of_prompts
        if kind is not None:
            other = "given" if kind == "made" else "made"
            jobs[f"{name}, prompts {other}"] = TimedJob(name, **settings, prompts=other)
    return jobs


def measure(jobs: dict[str, TimedJob], models: dict[str, Retriever], *, rounds: int) -> list[Any]:
    """A row per job; all of them have the same settings but for system and prompts."""
    some = jobs[DENSE]
    peak = benchmark.matmul_peak(some.precision)
    ready = {name: job.encoding(models[name]) for name, job in jobs.items()}
    seconds = timing.in_turns(ready, rounds=rounds)
    rows = []
    for name, job in jobs.items():
        rates = timing.summary(seconds[name], videos=job.batch)
        faster = timing.ratio(seconds[DENSE], seconds[name])
        due = some.gmacs / job.gmacs
        rows.append(
            {"system": job.system, "prompts": job.kind_of_prompts, "backbone": job.backbone}
            | {"frames": job.frames, "batch": job.batch, "precision": job.precision}
            | {"threads": torch.get_num_threads(), "rounds": rounds, **rates}
            | {"gmacs": round(job.gmacs, 2), "speed_up": round(faster, 3)}
            | {"macs_ratio": round(due, 3), "share_of_ratio": round(faster / due, 3)}
            | {"share_of_peak": round(rates["videos_per_second"] * job.gmacs / peak, 3)}
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def over_fp32(rows: list[Any]) -> list[Any]:
    """How many times as fast each other precision is, system by system."""
    key = tuple(k for k in KEY if k != "precision")
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
    parser.add_argument("--systems", nargs="+", default=list(MAIN), help="names, or all")
    parser.add_argument("--backbone", nargs="+", default=["ViT-B/32", "ViT-B/16"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", action="store_true", help="also peaks of memory")
    parser.add_argument("--memory-alone", action="store_true", help="of rows that the file has")
    parser.add_argument("--extend", action="store_true", help="keep rows that the file has")
    parser.add_argument("--name", default="encoder", help="what the file is called")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    options = parser.parse_args()
    if options.systems == ["all"]:
        same = same_as()
        options.systems = [name for name in zoo.PAPER if name not in same]
    options.systems = list(dict.fromkeys([DENSE, *options.systems]))
    return options


def same_as() -> dict[str, str]:
    """Rows that compute what another one does, once LoRA is folded: they need not be measured."""
    first: dict[object, str] = {}
    same = {}
    for name in (*MAIN, *zoo.PAPER):
        row = zoo.PAPER[name]
        tuning = None if isinstance(row.tuning, Full | LoRA) else row.tuning
        found = first.setdefault(repr((tuning, row.compression, row.pooling)), name)
        if found != name:
            same[name] = found
    return same


def before(target: Path) -> list[Any]:
    """The rows that the file has, each with all that tells it from others."""
    if not target.exists():
        return []
    document = json.loads(target.read_text("utf-8"))
    same = {"prompts": None, "threads": document["threads"]}
    return [same | row for row in document["rows"]]


def together(old: list[Any], new: list[Any]) -> list[Any]:
    """All rows, the newer of two with the same settings, in the order of the settings."""
    found = {tuple(row[k] for k in KEY): row for row in [*old, *new]}
    return sorted(found.values(), key=lambda row: [str(row[k]).rjust(9) for k in KEY[2:]])


def add_memory(target: Path) -> None:
    """Peaks of memory of the rows that have none yet, written one by one."""
    document = json.loads(target.read_text("utf-8"))
    names = ("system", "backbone", "frames", "batch", "precision", "prompts")
    for row in document["rows"]:
        if "peak_mb" not in row:
            row |= benchmark.peak_memory(TimedJob(**{name: row[name] for name in names}))
            results.write(document, target)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    target = options.out / f"{options.name}-{results.machine()}.json"
    if options.memory_alone:
        add_memory(target)
        return
    known = before(target) if options.extend else []
    report: dict[str, Any] = {"notes": NOTES, **results.environment(), **benchmark.conditions()}
    report["same_as"] = same_as()
    report["peak_gmacs_per_second"] = {
        precision: round(benchmark.matmul_peak(precision), 1) for precision in options.precision
    }
    for backbone, precision in product(options.backbone, options.precision):
        settings = {"backbone": backbone, "frames": options.frames, "precision": precision}
        models, shared = {}, Shared()
        for name, job in jobs_of(options.systems, **settings).items():
            models[name] = job.model()
            shared.take(models[name])
        for batch in options.batch:
            jobs = jobs_of(options.systems, **settings, batch=batch)
            rows = measure(jobs, models, rounds=options.rounds)
            if options.memory:
                for row, job in zip(rows, jobs.values(), strict=True):
                    row |= benchmark.peak_memory(job)
            known = together(known, rows)
            results.write(report | {"rows": known, "over_fp32": over_fp32(known)}, target)
    print(target)


if __name__ == "__main__":
    main()
