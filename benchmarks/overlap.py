"""What overlapping windows cost: 96 frames as windows that stand apart, and that overlap by half.

Blocks before the first join run once per frame, later ones once per window. Writes
results/benchmarks/overlap-<machine>.json; ratios are of the fastest of rounds in turns.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tempme.evaluation import timing as benchmark
from tempme.evaluation.timing import Encoding
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

ROOT = Path(__file__).parents[1]
SYSTEMS, FRAMES, WINDOW, ROUNDS = ("tempme", "tome"), 96, 12, 3


def starting_every(step: int) -> Tensor:
    """(W, 12): the frames of windows that start `step` frames apart."""
    return torch.arange(WINDOW) + torch.arange(0, FRAMES - WINDOW + 1, step)[:, None]


def ways(model: Retriever) -> dict[str, Encoding]:
    """The same frames without overlap, with half of it, and so with every window for itself."""
    frames = torch.randn(FRAMES, 3, model.image_size, model.image_size)
    apart, half = starting_every(WINDOW), starting_every(WINDOW // 2)

    def alone() -> object:
        return [model.encode_videos(frames[some]) for some in half.split(4)]

    return {
        "no_overlap": lambda: model.encode_windows(frames, apart),
        "half": lambda: model.encode_windows(frames, half),
        "half_each_alone": alone,
    }


@torch.inference_mode()
def main() -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    rows = []
    for name in SYSTEMS:
        model = Retriever.build(zoo.system(name), None, seed=0).for_inference("fp32")
        best = {way: min(s) for way, s in benchmark.in_turns(ways(model), rounds=ROUNDS).items()}
        ratios = {way: round(s / best["no_overlap"], 3) for way, s in best.items()}
        rows.append({"system": name, "backbone": "ViT-B/32", "precision": "fp32"} | ratios)
        print(rows[-1], flush=True)
    note = "seconds of one thread by those without overlap; windows of 12 of 96 frames"
    document = {"note": note, **results.environment(), "rows": rows}
    machine = results.machine()
    results.write(document, ROOT / "results" / "benchmarks" / f"overlap-{machine}.json")


if __name__ == "__main__":
    main()
