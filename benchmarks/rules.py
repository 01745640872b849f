"""Accuracy of every rule without training, at equal multiply-adds, on generated scenes.

A system takes a backbone as it is, that of the shipped model or a saved retriever's: nothing is
learnt, so what is lost is what the rule loses by itself. Every rule runs at the same shares of the
multiply-adds of the dense model (`tempme.system(name, budget=...)`), or at the nearest below that
its settings reach, on several galleries (a seed draws which scenes are in one); and is timed in
turns with the dense one. Writes results/benchmarks/<name>-<world>.json, one file for each world (a
part of the scenes), anew after every row; rows of the same commit and settings that the file has
stay, unless this run measures them anew.

    python benchmarks/rules.py
    python benchmarks/rules.py --seeds 0 1 2 3 4 --systems tempme tempme-rlt
    python benchmarks/rules.py --world lively --model scenes-lively
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from parts import Report
from tempme.errors import BadSetting
from tempme.evaluation.timing import encoding, in_turns, ratio
from tempme.experiments.scenes import TEST_SEED, judged
from tempme.retriever.checkpoint import backbone_of
from tempme.retriever.retriever import Retriever
from tempme.scenes import PARTS, PLAIN_PARTS, Scene, clip, scenes
from tempme.systems.system import System
from tempme.systems.table import RULES, system

ROOT = Path(__file__).parents[1]
MODEL, DENSE = "scenes-tiny", "lora"
SYSTEMS = ("tome", "testa", "tempme", "token-reduction", *RULES)
BUDGETS = (0.65, 0.4, 0.25)
ENCODED_AT_ONCE = 25  # videos
TIMED, ROUNDS = 4, 3  # videos that are timed, and how often
NOTES = {
    "training": "none: the backbone of `model` as it is, positions of clips at zero",
    "budget": "of the multiply-adds of `lora`, which merges nothing; `share` is what the settings "
    "reach, at most the budget. A rule that cannot be as cheap has no row there",
    "r1": "text to video and back, %, ties by half; `twins`: share of captions nearer to their "
    "video than to its twin, 50 where nothing tells them apart",
    "world": "backgrounds of static and temporal scenes stand still, which favours rules that use "
    "an equal place again (rlt, average, earlytom); accuracy there is near its ceiling for all",
    "agreement": "mean cosine of a video's feature to that of the dense model",
    "seeds": "galleries, whose scenes a seed draws; spread is the sample standard deviation over "
    "them, of one there is none. Against the dense model, gallery by gallery: `lost` of R-Sum, "
    "`lost_r1` of R@1 of text to video",
    "times": "as fast as the dense model on one thread, videos of four at once, in turns",
}


class World:
    """Scenes of one part, drawn once."""

    def __init__(self, part: str, gallery: int, seed: int, retriever: Retriever) -> None:
        chosen = next((known for known in PARTS if known == part), None)
        if chosen is None:
            raise BadSetting(f"no world {part!r}; possible: {', '.join(PARTS)}")
        self.found: tuple[Scene, ...] = scenes(
            gallery, part=chosen, split="test", seed=TEST_SEED + seed
        )
        size, frames = retriever.image_size, retriever.num_frames
        self.pixels = np.stack([clip(scene, frames, size=size) for scene in self.found])
        self.captions = [scene.captions[0] for scene in self.found]

    def features(self, ready: Retriever) -> np.ndarray:
        """(V, D) of the videos."""
        with torch.inference_mode():
            pieces = [
                ready.encode_videos(self.pixels[first : first + ENCODED_AT_ONCE])
                for first in range(0, len(self.pixels), ENCODED_AT_ONCE)
            ]
        return torch.cat(pieces).numpy()

    def row(self, videos: np.ndarray, ready: Retriever) -> dict[str, Any]:
        """Metrics of these features."""
        with torch.inference_mode():
            texts = ready.encode_texts(self.captions).numpy()
        found = judged(texts, videos, self.found)
        both = {way: found[way] for way in ("t2v", "v2t")}
        answer = {f"{way}_r1": round(one["r1"], 2) for way, one in both.items()}
        answer["r_sum"] = round(
            sum(one[key] for one in both.values() for key in ("r1", "r5", "r10")), 1
        )
        return answer | {key: found[key] for key in ("twins", "rivals") if key in found}


def ready_for(row: System, model: str) -> Retriever:
    return Retriever.build(row, model, seed=0).for_inference("fp32")


def settings_of(row: System) -> str:
    """What the compression has, but for what it has anyway."""
    plain = type(row.compression)()
    own = {
        name: value
        for name, value in vars(row.compression).items()
        if value != getattr(plain, name)
    }
    return ", ".join(f"{name} {value}" for name, value in own.items())


def rows_of(options: argparse.Namespace) -> list[tuple[float | None, System]]:
    """Every system at every budget that it reaches, and as it stands in the table."""
    made: list[tuple[float | None, System]] = []
    sizes = backbone_of(options.model)
    for name in options.systems:
        made.append((None, system(name, backbone=sizes)))
        for budget in options.budget:
            try:
                made.append((budget, system(name, backbone=sizes, budget=budget)))
            except BadSetting as too_cheap:
                print(too_cheap, file=sys.stderr)
    return made


class Galleries:
    """Scenes of one part, one gallery a seed, and what the dense model makes of them."""

    def __init__(self, part: str, gallery: int, seeds: Sequence[int], dense: Retriever) -> None:
        self.seeds = list(seeds)
        self.worlds = [World(part, gallery, seed, dense) for seed in seeds]
        self.wanted = [world.features(dense) for world in self.worlds]
        self.whole = [
            world.row(videos, dense) for world, videos in zip(self.worlds, self.wanted, strict=True)
        ]

    def row(self, ready: Retriever) -> dict[str, Any]:
        """Means over the galleries, with their spread where there are several."""
        found = [world.features(ready) for world in self.worlds]
        rows = [world.row(one, ready) for world, one in zip(self.worlds, found, strict=True)]
        for row, dense in zip(rows, self.whole, strict=True):
            row["lost"] = dense["r_sum"] - row["r_sum"]
            row["lost_r1"] = dense["t2v_r1"] - row["t2v_r1"]
        agreed = [
            float((one * other).sum(axis=1).mean())
            for one, other in zip(found, self.wanted, strict=True)
        ]
        told: dict[str, Any] = {"seeds": self.seeds}
        for key in rows[0]:
            told |= spread(key, [row[key] for row in rows])
        return told | {"agreement": round(mean(agreed), 4)}


def spread(key: str, values: Sequence[float]) -> dict[str, float]:
    """The mean, and of several the sample standard deviation beside it."""
    told = {key: round(mean(values), 2)}
    return told | ({f"{key}_spread": round(stdev(values), 2)} if len(values) > 1 else {})


def times_of(dense: Retriever, ready: Retriever) -> float:
    """How many times as fast as the dense model, in turns."""
    jobs = {"dense": encoding(dense, TIMED), "row": encoding(ready, TIMED)}
    seconds = in_turns(jobs, rounds=ROUNDS)
    return round(ratio(seconds["dense"], seconds["row"]), 3)


def measure(options: argparse.Namespace) -> None:
    """A row for every system and budget in the file of every world, dense first."""
    dense_row = system(DENSE, backbone=backbone_of(options.model))
    whole, dense = dense_row.cost().gmacs, ready_for(dense_row, options.model)
    head = {"notes": NOTES, "model": options.model, "gallery": options.gallery}
    reports = {
        part: Report.at(options.out / f"{options.name}-{part}.json", head, ["rows"])
        for part in options.world
    }
    worlds = {
        part: Galleries(part, options.gallery, options.seeds, dense) for part in options.world
    }
    for budget, row in [(None, dense_row), *rows_of(options)]:
        ready = ready_for(row, options.model)
        gmacs = row.cost().gmacs
        times = times_of(dense, ready) if row is not dense_row else 1.0
        for part, galleries in worlds.items():
            told = {"system": row.name, "settings": settings_of(row), "budget": budget}
            told |= {"gmacs": round(gmacs, 3), "share": round(gmacs / whole, 3), "times": times}
            reports[part].add("rows", ("system", "budget"), [told | galleries.row(ready)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", nargs="+", default=list(PLAIN_PARTS), help=", ".join(PARTS))
    parser.add_argument("--model", default=MODEL, help="whose backbone; a name or a folder")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--budget", nargs="+", type=float, default=list(BUDGETS))
    parser.add_argument("--gallery", type=int, default=100, help="scenes of each world")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="galleries")
    parser.add_argument("--name", default="rules", help="what the file is called")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(1)  # timings are of one
    measure(options)


if __name__ == "__main__":
    main()
