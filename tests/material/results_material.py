"""Result files as `tempme train` writes them, small: for tests of what is rendered from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STEPS = (1, 10, 20, 30)


def scores(r1: float, *, queries: int = 500) -> dict[str, float]:
    """What `metrics.summarize` says of one direction."""
    return {
        "r1": r1,
        "r5": 95.0,
        "r10": 99.0,
        "r50": 100.0,
        "rsum": r1 + 194.0,
        "median_rank": 2.0,
        "mean_rank": 2.5,
        "num_queries": float(queries),
    }


def run(
    system: str, seed: int, *, r1: float = 40.0, experiment: str | None = None, **more: Any
) -> dict[str, Any]:
    """One run on scenes; `more` overrules or adds keys, None takes one away."""
    both = {"t2v": scores(r1), "v2t": scores(r1 - 2)}
    made = {
        "experiment": experiment or f"scenes/{system}",
        "seed": seed,
        "settings": {
            "name": experiment or f"scenes/{system}",
            "system": {"name": system, "backbone": "scenes-tiny", "frames": 12},
            "data": {"name": "scenes", "static": 0.3},
            "recipe": {"steps": 300, "batch": 64},
        },
        "metrics": {"static": both, "temporal": {**both, "twins": 65.0}},
        "cost": {
            "gmacs": 1.58,
            "gflops_paper": 1.593,
            "tokens": 97,
            "trainable_parameters": 40_224,
        },
        "training_seconds": 200.0 + seed,
        "videos_per_second": 50.0,
        "peak_memory_mb": 900.0,
        "history": [{"step": step, "loss": 4.0 / step + seed / 10} for step in STEPS],
        "environment": {
            "machine": "a-machine-2-cores",
            "packages": {"torch": "2.13.0"},
            "commit": "abc1234",
        },
    }
    return {key: value for key, value in (made | more).items() if value is not None}


def put(results: Path, *runs: dict[str, Any]) -> None:
    """Write runs where `tempme train --result` puts them."""
    for one in runs:
        path = results / one["experiment"] / f"seed-{one['seed']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one), "utf-8")
