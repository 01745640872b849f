"""What `tempme adapt` gains on scenes: dense, merging without training, and adapted, at budgets.

The shipped backbone learns from windows of the training split, without their captions, and is
judged by retrieval on the test split: R@1 of text to video. Beside it the speed of a ViT-B/32 with
random weights at the same budgets, whose features mean nothing. Writes
results/benchmarks/adapt-<machine>.json. About 20 minutes on a busy core.

    python benchmarks/adapt.py [--gallery 150] [--steps 40] [--budgets 0.65 0.5 0.35]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tempme.adapting.learning import Lessons, learn, score
from tempme.adapting.measuring import costs, features_of, speeds
from tempme.adapting.models import dense_model, merging_model, row_for
from tempme.adapting.settings import Adapting
from tempme.evaluation.agreement import agreement
from tempme.experiments.scenes import judge_parts
from tempme.index.judging import background_of
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.scenes import PARTS, clip, scenes
from tempme.systems.budget import within_budget
from tempme.systems.table import system
from tempme.training import BEST, weights_of

ROOT = Path(__file__).parents[1]
MODEL, ROW, TEST_SEED, LESSON_SEED = "scenes-tiny", "tempme", 0, 77
BIG = "ViT-B/32"


def lessons_of(teacher: Retriever, count: int) -> Lessons:
    """Windows of `count` scenes of the training split; every fifth is held out."""
    found = [
        s for part in PARTS for s in scenes(count // 2, part=part, split="train", seed=LESSON_SEED)
    ]
    size = teacher.image_size
    pixels = np.stack([clip(scene, teacher.num_frames, size=size) for scene in found])
    dense = teacher.for_inference("fp32")
    numbers = np.arange(len(pixels))
    return Lessons(
        pixels,
        features_of(dense, pixels),
        background_of(dense),
        learnt=numbers[numbers % 5 != 2],
        apart=numbers[numbers % 5 == 2],
    )


def judged(retriever: Retriever, lessons: Lessons, gallery: int) -> dict[str, Any]:
    """R@1 of held-out scenes, and agreement with the dense model on the windows held out."""
    found = judge_parts(retriever, gallery, split="test", seed=TEST_SEED)
    held = lessons.apart
    features = features_of(retriever.for_inference("fp32"), lessons.pixels[held])
    agreed = agreement(lessons.features[held], features, lessons.phrases, held)
    return {
        **{f"{part}_r1": round(scores["t2v"]["r1"], 2) for part, scores in found.items()},
        "cosine": agreed.cosine.mean,
        "overlap": agreed.overlap.mean,
        "overlap_low": agreed.overlap.low,
        "overlap_high": agreed.overlap.high,
    }


def at_budget(
    teacher: Retriever, lessons: Lessons, budget: float, gallery: int, steps: int
) -> list[dict[str, Any]]:
    """Merging without training, and adapted."""
    settings = Adapting(ROW, budget, steps=steps, batch=8, validate_every=8)
    row = row_for(teacher, settings.system, budget)
    student = merging_model(teacher, row, seed=0)
    facts = {"budget": budget, "share": costs(student)["share"]}
    free = judged(student, lessons, gallery)
    start = score(lessons, features_of(student, lessons.pixels[lessons.apart]))
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fitted = learn(student, lessons, settings, folder=Path(folder), show_progress=False)
        seconds = time.monotonic() - begin
        if (fitted.best_score or start) > start:
            student.load_state_dict(weights_of(Path(folder) / BEST))
    made = Retriever(student.parts).eval()
    found = judged(made, lessons, gallery) | {"steps": fitted.steps, "seconds": round(seconds)}
    return [{"model": "without training", **facts, **free}, {"model": "adapted", **facts, **found}]


def speed_of(dense: Retriever, merging: Retriever, backbone: str, budget: float) -> dict[str, Any]:
    """Windows per second of both, in turns."""
    found = speeds(dense.for_inference("fp32"), merging.for_inference("fp32"))
    return {"backbone": backbone, "budget": budget, "share": costs(merging)["share"]} | {
        f"{kind}_{key}": value
        for kind in ("alone", "overlapping")
        for key, value in found[kind].items()
    }


def main() -> None:
    """Measure, print and write."""
    words = argparse.ArgumentParser()
    words.add_argument("--gallery", type=int, default=150)
    words.add_argument("--windows", type=int, default=160)
    words.add_argument("--steps", type=int, default=40)
    words.add_argument("--budgets", type=float, nargs="+", default=[0.65, 0.5, 0.35])
    asked = words.parse_args()
    torch.set_num_threads(1)
    teacher = dense_model(MODEL)
    lessons = lessons_of(teacher, asked.windows)
    rows = [
        {"model": "dense", "budget": 1.0, "share": 1.0, **judged(teacher, lessons, asked.gallery)}
    ]
    print(rows[-1], flush=True)
    for budget in asked.budgets:
        rows += at_budget(teacher, lessons, budget, asked.gallery, asked.steps)
        print(rows[-2], rows[-1], sep="\n", flush=True)
    big = Retriever.build(system("clip4clip", backbone=BIG), None, seed=0).eval()
    timed = []
    for budget in asked.budgets:
        for dense, name in ((teacher, MODEL), (big, BIG)):
            row = within_budget(system(ROW, backbone=dense.system.backbone), budget)
            timed.append(speed_of(dense, merging_model(dense, row), name, budget))
            print(timed[-1], flush=True)
    note = (
        f"{MODEL}, {ROW}; R@1 text to video in %, galleries of {asked.gallery} test scenes a part, "
        f"both: in one; {asked.windows} training windows without captions, a fifth held out "
        f"(cosine, overlap of the 10 nearest phrases with the dense model); one seed. Speed: "
        f"windows per second of one thread, in turns; {BIG} has random weights"
    )
    document = {"note": note, **results.environment(), "retrieval": rows, "speed": timed}
    machine = results.machine()
    results.write(document, ROOT / "results" / "benchmarks" / f"adapt-{machine}.json")


if __name__ == "__main__":
    main()
