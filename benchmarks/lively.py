"""What reduction alone costs on lively scenes: systems on the same weights, none of them tuned.

Every system encodes the same galleries of held-out scenes; each is compared with the dense system
gallery by gallery, so that what is hard about a gallery falls out of the difference. A row is
written as soon as it is measured.

    python benchmarks/lively.py BACKBONE [--gallery 200] [--seeds 0 1 2] [--systems lora evit ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from tempme.experiments import judge
from tempme.results.runs import environment, machine, write
from tempme.retriever.checkpoint import backbone_of
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system

DENSE = "lora"  # before it is tuned, the backbone itself
SYSTEMS = (DENSE, "tome", "token-reduction", "evit", "sta", "tempme")
DIGITS = 2


def main() -> None:
    """Measure, print, and write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("backbone")
    asked.add_argument("--gallery", type=int, default=200)
    asked.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked.add_argument("--systems", nargs="+", default=[*SYSTEMS])
    asked.add_argument("--part", default="lively")
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    torch.set_num_threads(1)
    out = given.out or Path(f"results/benchmarks/lively-{machine()}.json")
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in given.systems}
    for done, seed in enumerate(given.seeds, start=1):
        for name in given.systems:
            scores[name].append(_scores(given.backbone, name, given.part, given.gallery, seed))
            print(seed, name, scores[name][-1], flush=True)
        found = {name: some[:done] for name, some in scores.items()}
        write(_document(given, given.seeds[:done], found), out)


def _scores(backbone: str, name: str, part: Any, gallery: int, seed: int) -> dict[str, float]:
    sizes = backbone_of(backbone)
    retriever = Retriever.build(system(name, backbone=sizes), backbone, seed=0)
    found = judge(retriever, part, gallery=gallery, seed=seed)
    told = {"R@1": found["t2v"]["r1"], "R@5": found["t2v"]["r5"]}
    return told | {key: found[key] for key in ("rivals", "twins") if key in found}


def _document(
    given: argparse.Namespace, seeds: list[int], scores: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    of = environment()
    return {
        "machine": of["machine"],
        "commit": of["commit"],
        "torch": of["packages"]["torch"],
        "backbone": "/".join(Path(given.backbone).parts[-3:-1]),
        "part": given.part,
        "gallery": given.gallery,
        "galleries": len(seeds),
        "not tuned": [
            {"system": name, **_cost(name, given.backbone), **_row(scores[name], scores[DENSE])}
            for name in given.systems
        ],
    }


def _cost(name: str, backbone: str) -> dict[str, float]:
    made = system(name, backbone=backbone_of(backbone))
    return {"gmacs": round(made.cost().gmacs, DIGITS)}


def _row(own: list[dict[str, float]], dense: list[dict[str, float]]) -> dict[str, float | str]:
    row: dict[str, float | str] = {}
    for key in own[0]:
        row[key] = _spread([one[key] for one in own])
    lost = [one["R@1"] - other["R@1"] for one, other in zip(own, dense, strict=True)]
    return row | {"R@1 against dense": _spread(lost)}


def _spread(values: list[float]) -> str:
    """Mean and sample standard deviation over galleries."""
    middle = f"{mean(values):.1f}"
    return f"{middle} ± {stdev(values):.1f}" if len(values) > 1 else middle


if __name__ == "__main__":
    main()
