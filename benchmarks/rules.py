"""Accuracy of every rule without training, at equal multiply-adds, on generated scenes.

A system takes the backbone of the shipped model as it is: nothing is learnt, so what is lost is
what the rule loses by itself. Every rule runs at the same shares of the multiply-adds of the dense
model (`tempme.system(name, budget=...)`), or at the nearest below that its settings reach. Writes
results/benchmarks/<name>-<world>.json, one file for each world (a part of the scenes); with
`--extend` rows that the file has stay, unless this run measures them anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tempme.errors import BadSetting
from tempme.experiments.scenes import TEST_SEED, judged
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.scenes import PARTS, PLAIN_PARTS, Scene, clip, scenes
from tempme.systems.system import System
from tempme.systems.table import RULES, system

ROOT = Path(__file__).parents[1]
MODEL, DENSE = "scenes-tiny", "lora"
SYSTEMS = ("tome", "testa", "tempme", "token-reduction", *RULES)
BUDGETS = (1.0, 0.65, 0.4, 0.3)
ENCODED_AT_ONCE = 25  # videos
NOTES = {
    "training": "none: the backbone of scenes-tiny as it is, positions of clips at zero",
    "budget": "of the multiply-adds of `lora`, which merges nothing; `share` is what the settings "
    "reach, at most the budget. A rule that cannot be as cheap has no row there",
    "r1": "text to video and back, %, ties by half; `twins`: share of captions nearer to their "
    "video than to its twin, 50 where nothing tells them apart",
    "world": "backgrounds of static and temporal scenes stand still, which favours rules that use "
    "an equal place again (rlt, average, earlytom); accuracy there is near its ceiling for all",
    "agreement": "mean cosine of a video's feature to that of the dense model",
}


class World:
    """Scenes of one part, drawn once."""

    def __init__(self, part: str, gallery: int, retriever: Retriever) -> None:
        chosen = next((known for known in PARTS if known == part), None)
        if chosen is None:
            raise BadSetting(f"no world {part!r}; possible: {', '.join(PARTS)}")
        self.found: tuple[Scene, ...] = scenes(gallery, part=chosen, split="test", seed=TEST_SEED)
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


def ready_for(row: System) -> Retriever:
    return Retriever.build(row, MODEL, seed=0).for_inference("fp32")


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
    for name in options.systems:
        made.append((None, system(name, backbone=MODEL)))
        for budget in options.budget:
            try:
                made.append((budget, system(name, backbone=MODEL, budget=budget)))
            except BadSetting as too_cheap:
                print(too_cheap, file=sys.stderr)
    return made


def measure(worlds: dict[str, World], options: argparse.Namespace) -> dict[str, list[Any]]:
    """World -> a row for every system and budget, dense first."""
    dense_row = system(DENSE, backbone=MODEL)
    whole, dense = dense_row.cost().gmacs, ready_for(dense_row)
    wanted = {name: world.features(dense) for name, world in worlds.items()}
    rows: dict[str, list[Any]] = {name: [] for name in worlds}
    for budget, row in [(None, dense_row), *rows_of(options)]:
        ready = ready_for(row)
        gmacs = row.cost().gmacs
        for name, world in worlds.items():
            videos = world.features(ready)
            agreement = float((videos * wanted[name]).sum(axis=1).mean())
            rows[name].append(
                {"system": row.name, "settings": settings_of(row), "budget": budget}
                | {"gmacs": round(gmacs, 3), "share": round(gmacs / whole, 3)}
                | world.row(videos, ready)
                | {"agreement": round(agreement, 4)}
            )
            print(name, json.dumps(rows[name][-1]), file=sys.stderr, flush=True)
    return rows


def together(old: list[Any], new: list[Any]) -> list[Any]:
    """All rows, the newer of two of one system and budget; the dense one first."""
    found = {(row["system"], row["budget"]): row for row in [*old, *new]}
    return sorted(found.values(), key=lambda row: row["system"] != DENSE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", nargs="+", default=list(PLAIN_PARTS), help=", ".join(PARTS))
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--budget", nargs="+", type=float, default=list(BUDGETS))
    parser.add_argument("--gallery", type=int, default=400, help="scenes of each world")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--extend", action="store_true", help="keep rows that the file has")
    parser.add_argument("--name", default="rules", help="what the file is called")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = Retriever.build(system(DENSE, backbone=MODEL), MODEL)
    worlds = {name: World(name, options.gallery, model) for name in options.world}
    for name, rows in measure(worlds, options).items():
        target = options.out / f"{options.name}-{name}.json"
        known = json.loads(target.read_text("utf-8"))["rows"] if target.exists() else []
        rows = together(known if options.extend else [], rows)
        facts = {"notes": NOTES, **results.environment(), "model": MODEL}
        print(results.write(facts | {"gallery": options.gallery, "rows": rows}, target))


if __name__ == "__main__":
    main()
