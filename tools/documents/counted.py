"""Multiply-adds of what was measured, as this version counts them.

A result keeps the count of the version that measured it. Counts follow from settings alone, so
documents show what all rows cost by one count; what was measured stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobs import TimedJob
from tempme.experiments.settings import SystemSettings
from tempme.results.runs import Run
from tempme.settings import typed
from tempme.systems.table import UMT

DENSE, DENSE_OF_UMT = "lora", "umt"
ABOUT_COUNTS = (
    "gmacs, macs_ratio, share_of_ratio and share_of_peak are rendered by the present count of "
    "multiply-adds, from the settings; times are as measured"
)
OF_THE_JOB = ("system", "backbone", "frames", "batch", "precision", "prompts")

Experiments = Mapping[str, Mapping[str, Sequence[Run]]]


def experiments_now(found: Experiments) -> dict[str, dict[str, tuple[Run, ...]]]:
    """The same runs, each with the multiply-adds of its system as they are counted now."""
    return {
        data_set: {name: tuple(map(_run_now, runs)) for name, runs in experiments.items()}
        for data_set, experiments in found.items()
    }


def benchmark_now(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same document; rows that state multiply-adds state them as they are counted now."""
    rows = document.get("rows")
    if not isinstance(rows, list) or not any("macs_ratio" in row for row in rows):
        return dict(document)
    notes = {**document.get("notes", {}), "counts": ABOUT_COUNTS}
    if "share_of_peak" in notes:
        notes["share_of_peak"] = notes["share_of_peak"].partition(";")[0]
    return {**document, "notes": notes, "rows": [_row_now(row) for row in rows]}


def _run_now(run: Run) -> Run:
    settings = typed(SystemSettings, run["settings"]["system"], "settings.system")
    cost = settings.system().cost()
    counted = {"gmacs": cost.gmacs, "gmacs_prompts": cost.gmacs_prompts}
    return {**run, "cost": {**run["cost"], **counted}}


def _row_now(row: Mapping[str, Any]) -> dict[str, Any]:
    job = TimedJob(**{key: row[key] for key in OF_THE_JOB if key in row})
    dense_name = DENSE_OF_UMT if row["system"] in UMT else DENSE
    dense = TimedJob(dense_name, **{key: row[key] for key in OF_THE_JOB[1:-1] if key in row})
    due = dense.gmacs / job.gmacs
    now = {
        **row,
        "gmacs": round(job.gmacs, 2),
        "macs_ratio": round(due, 3),
        "share_of_ratio": round(row["speed_up"] / due, 3),
    }
    if "share_of_peak" in row:
        now["share_of_peak"] = round(row["share_of_peak"] * job.gmacs / row["gmacs"], 3)
    return now
