"""What `tempme adapt` gains on scenes: dense, merging without training, and adapted, at budgets.

A backbone, the shipped one or a saved retriever's, learns from windows of the training split,
without their captions, and is judged by retrieval on the test split: R@1 of text to video.
Beside it the speed of a ViT-B/32 with random weights at the same budgets, whose features mean
nothing. Writes results/benchmarks/<name>-<machine>.json, anew after every budget. All of it takes
some minutes of a quiet core; in parts, each of a few: rows of the same commit and settings that
the file has stay.

    python benchmarks/adapt.py [--gallery 100] [--windows 100] [--steps 24]
    python benchmarks/adapt.py --measure retrieval --budgets 0.5
    python benchmarks/adapt.py --measure retrieval --parts lively --name adapt-lively \
        --model scenes-lively
    python benchmarks/adapt.py --measure speed --backbones ViT-B/32 --budgets 0.5
    python benchmarks/adapt.py --systems tempme earlytom
    python benchmarks/adapt.py --measure clips --videos ~/Videos --model scenes-lively \
        --name adapt-lively

With `--videos` it is said how far every system agrees, untrained, with the dense model on windows
of a person's own clips, and what an hour of them costs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parts import Report
from tempme.adapting.learning import Lessons, learn, score
from tempme.adapting.measuring import costs, features_of, speeds
from tempme.adapting.models import dense_model, merging_model, row_for
from tempme.adapting.settings import Adapting
from tempme.adapting.windows import sample_windows
from tempme.evaluation.agreement import Agreement, agreement
from tempme.evaluation.metrics import both_directions
from tempme.index.building.encode import encode_queries
from tempme.index.judging import background_of
from tempme.results import runs as results
from tempme.retriever.footage import gmacs_of_windows, windows_of
from tempme.retriever.retriever import Retriever
from tempme.scenes import PARTS, PLAIN_PARTS, Part, Scene, clip, scenes
from tempme.systems.budget import within_budget
from tempme.systems.table import system
from tempme.training import BEST, weights_of

ROOT = Path(__file__).parents[1]
MODEL, TEST_SEED, LESSON_SEED = "scenes-tiny", 0, 77
BIG, SYSTEMS = "ViT-B/32", ("tempme", "earlytom")
BACKBONES, MEASURES = (MODEL, BIG), ("retrieval", "speed", "clips")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Test scenes of each part, drawn once: pixels (V, F, S, S, 3), and their first captions."""

    pixels: dict[str, NDArray[np.uint8]]
    captions: dict[str, list[str]]

    @classmethod
    def of(cls, teacher: Retriever, parts: Sequence[Part], count: int) -> Gallery:
        """So many of each part."""
        found = {part: scenes(count, part=part, split="test", seed=TEST_SEED) for part in parts}
        return cls(
            {part: drawn(teacher, some) for part, some in found.items()},
            {part: [scene.captions[0] for scene in some] for part, some in found.items()},
        )

    def r1(self, ready: Retriever) -> dict[str, float]:
        """R@1 of text to video: each part in a gallery of its own, and all in one."""
        videos = {part: features_of(ready, pixels) for part, pixels in self.pixels.items()}
        texts = {part: encode_queries(ready, said) for part, said in self.captions.items()}
        pairs = {part: (texts[part], videos[part]) for part in videos}
        pairs["together"] = tuple(np.concatenate(list(kind.values())) for kind in (texts, videos))
        return {
            f"{part}_r1": round(
                both_directions((words @ seen.T).round(5), ties="expected").t2v.r1, 2
            )
            for part, (words, seen) in pairs.items()
        }


def drawn(teacher: Retriever, found: Sequence[Scene]) -> NDArray[np.uint8]:
    """The frames of scenes."""
    size = teacher.image_size
    return np.stack([clip(scene, teacher.num_frames, size=size) for scene in found])


def lessons_of(teacher: Retriever, parts: Sequence[Part], count: int) -> Lessons:
    """Windows of `count` scenes of the training split; every fifth is held out."""
    found = [
        scene
        for part in parts
        for scene in scenes(
            count // len(parts) // 2 * 2, part=part, split="train", seed=LESSON_SEED
        )
    ]
    pixels, dense = drawn(teacher, found), teacher.for_inference("fp32")
    numbers = np.arange(len(pixels))
    return Lessons(
        pixels,
        features_of(dense, pixels),
        background_of(dense),
        learnt=numbers[numbers % 5 != 2],
        apart=numbers[numbers % 5 == 2],
    )


def judged(retriever: Retriever, lessons: Lessons, gallery: Gallery) -> dict[str, Any]:
    """R@1 of test scenes, and agreement with the dense model on the windows held out."""
    ready, held = retriever.for_inference("fp32"), lessons.apart
    features = features_of(ready, lessons.pixels[held])
    agreed = agreement(lessons.features[held], features, lessons.phrases, held)
    return gallery.r1(ready) | told_of(agreed)


def at_budget(
    teacher: Retriever, lessons: Lessons, gallery: Gallery, settings: Adapting
) -> list[dict[str, Any]]:
    """Merging without training, and adapted."""
    budget = settings.budget
    row = row_for(teacher, settings.system, budget)
    student = merging_model(teacher, row, seed=0)
    facts = {"system": row.name, "budget": budget, "share": costs(student)["share"]}
    free = judged(student, lessons, gallery)
    start = score(lessons, features_of(student, lessons.pixels[lessons.apart]))
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fitted = learn(student, lessons, settings, folder=Path(folder), show_progress=False)
        seconds = time.monotonic() - begin
        if (fitted.best_score or start) > start:
            student.load_state_dict(weights_of(Path(folder) / BEST), strict=False)
    made = Retriever(student.parts).eval()
    found = judged(made, lessons, gallery) | {"steps": fitted.steps, "seconds": round(seconds)}
    return [{"model": "without training", **facts, **free}, {"model": "adapted", **facts, **found}]


def speed_of(dense: Retriever, merging: Retriever, backbone: str, budget: float) -> dict[str, Any]:
    """Windows per second of both, in turns."""
    found = speeds(dense.for_inference("fp32"), merging.for_inference("fp32"))
    facts = {"backbone": backbone, "system": merging.system.name, "budget": budget}
    return {**facts, "share": costs(merging)["share"]} | {
        f"{kind}_{key}": value
        for kind in ("alone", "overlapping")
        for key, value in found[kind].items()
    }


def main() -> None:
    """Measure what is asked for, print and write."""
    words = argparse.ArgumentParser()
    words.add_argument("--gallery", type=int, default=100)
    words.add_argument("--parts", nargs="+", choices=PARTS, default=list(PLAIN_PARTS))
    words.add_argument("--windows", type=int, default=100)
    words.add_argument("--steps", type=int, default=24)
    words.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    words.add_argument("--budgets", type=float, nargs="+", default=[0.65, 0.5, 0.35])
    words.add_argument("--measure", nargs="+", choices=MEASURES, default=list(MEASURES[:2]))
    words.add_argument("--videos", nargs="+", type=Path, default=[], help="of `--measure clips`")
    words.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    words.add_argument("--model", default=MODEL, help="whose retrieval is measured")
    words.add_argument("--name", default="adapt", help="what the file is called")
    words.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    asked = words.parse_args()
    torch.set_num_threads(1)
    path = asked.out / f"{asked.name}-{results.machine()}.json"
    report = Report.at(path, {"note": note_of(asked)}, MEASURES)
    if "retrieval" in asked.measure:
        retrieval(asked, report)
    if "clips" in asked.measure:
        clips(asked, report)
    if "speed" in asked.measure:
        for backbone in asked.backbones:
            dense = dense_model(MODEL) if backbone == MODEL else random_of(backbone)
            for name, budget in product(asked.systems, asked.budgets):
                row = within_budget(system(name, backbone=dense.system.backbone), budget)
                told = speed_of(dense, merging_model(dense, row, shared=True), backbone, budget)
                report.add("speed", ("backbone", "system", "budget"), [told])


def retrieval(asked: argparse.Namespace, report: Report) -> None:
    """Dense, and at every budget: merging without training, and adapted."""
    teacher = dense_model(asked.model)
    lessons = lessons_of(teacher, asked.parts, asked.windows)
    gallery = Gallery.of(teacher, asked.parts, asked.gallery)
    facts = {"model": "dense", "system": teacher.system.name, "budget": 1.0, "share": 1.0}
    keys = "model", "system", "budget"
    report.add("retrieval", keys, [facts | judged(teacher, lessons, gallery)])
    for name, budget in product(asked.systems, asked.budgets):
        settings = Adapting(name, budget, steps=asked.steps, batch=8, validate_every=8)
        report.add("retrieval", keys, at_budget(teacher, lessons, gallery, settings))


def clips(asked: argparse.Namespace, report: Report) -> None:
    """How far every system at every budget agrees with the dense model on windows of clips.

    footage: its share of the dense multiply-adds where windows overlap by half.
    """
    teacher = dense_model(asked.model)
    sample = sample_windows(asked.videos, teacher, most=asked.windows)
    dense, hour = (
        teacher.for_inference("fp32"),
        windows_of(3600, window=teacher.num_frames, stride=teacher.num_frames // 2),
    )
    features, phrases = features_of(dense, sample.pixels), background_of(dense)
    of_dense = gmacs_of_windows(teacher, hour)
    for name, budget in product(asked.systems, (None, *asked.budgets)):
        merging = merging_model(teacher, row_for(teacher, name, budget), shared=True)
        seen = features_of(merging.for_inference("fp32"), sample.pixels)
        agreed = agreement(features, seen, phrases, sample.video)
        facts = {"system": name, "budget": budget, "share": costs(merging)["share"]}
        facts |= {"footage": round(gmacs_of_windows(merging, hour) / of_dense, 3)}
        facts |= {"windows": len(sample), "videos": len(sample.paths)}
        report.add("clips", ("system", "budget"), [facts | told_of(agreed)])


def told_of(agreed: Agreement) -> dict[str, float]:
    """How near both features of a window are, and how many of its nearest phrases are the same."""
    return {
        "cosine": agreed.cosine.mean,
        "overlap": agreed.overlap.mean,
        "overlap_low": agreed.overlap.low,
        "overlap_high": agreed.overlap.high,
    }


def random_of(backbone: str) -> Retriever:
    """Random weights: what they compute means nothing, and takes as long as any."""
    return Retriever.build(system("clip4clip", backbone=backbone), None, seed=0).eval()


def note_of(asked: argparse.Namespace) -> str:
    """What was measured, for a person; rows of another note do not belong beside these."""
    return (
        f"{asked.model}; R@1 text to video in %, galleries of {asked.gallery} test "
        f"scenes a part ({', '.join(asked.parts)}), together: in one; {asked.windows} training "
        f"windows without captions, a fifth held out (cosine, overlap of the 10 nearest phrases "
        f"with the dense model), {asked.steps} steps; one seed. Speed: windows per second of one "
        f"thread (of processor time on a CPU), in turns; {BIG} has random weights"
    )


if __name__ == "__main__":
    main()
