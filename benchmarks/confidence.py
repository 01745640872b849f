"""What levels of confidence are worth: queries with a match in the index, and queries without.

Scenes of the test split are the index; 1,000 captions of them have a match, 1,000 other captions of
that split have none: nothing in the index does what they say, nor that and more besides. Writes
results/confidence.json: for every level the share of both that get a hit at least as sure, and
between which shares 95 of 100 draws of so many queries lie if the stated rate is the true one.

    python benchmarks/confidence.py [--scenes 100 200 400 800] [--out results/confidence.json]
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tempme import load
from tempme.index.building.encode import encode_queries
from tempme.index.confidence import LEVELS, Judge, phrase_lists
from tempme.index.moments import Confidence
from tempme.scenes import Scene, clip, scenes

MODEL = "scenes-tiny"
QUERIES = 1000
BATCH = 8
TOLD: tuple[Confidence, ...] = ("high", "medium", "low")

Floats = NDArray[np.float32]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--scenes", type=int, nargs="+", default=[100, 200, 400, 800])
    asked.add_argument("--out", type=Path, default=Path("results/confidence.json"))
    given = asked.parse_args()
    model = load(MODEL).for_inference()
    shown = _scenes(max(given.scenes), seed=101)
    features = _encoded(model, shown)
    background = encode_queries(model, phrase_lists()[1])
    rows = []
    for count in given.scenes:
        places = np.linspace(0, len(shown) - 1, count).astype(int)
        rows.append(_measured(model, [shown[i] for i in places], features[places], background))
        print(json.dumps(rows[-1]))
    told = {
        "model": MODEL,
        "queries": QUERIES,
        "levels": {level: LEVELS[level] for level in TOLD},
        "expected": {level: _expected(LEVELS[level]) for level in TOLD},
        "rows": rows,
    }
    given.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _measured(
    model: Any, shown: list[Scene], features: Floats, background: Floats
) -> dict[str, Any]:
    judge = Judge.of(background, features, own=None)
    queries = {"with": _captions(shown), "without": _of_others(shown)}
    row: dict[str, Any] = {"scenes": len(shown)}
    for name, texts in queries.items():
        scores = encode_queries(model, texts) @ features.T
        chances = np.array([judge.chances(each, features).min() for each in scores])
        row[name] = {level: round(float((chances <= LEVELS[level]).mean()), 4) for level in TOLD}
    return row


def _expected(rate: float) -> list[float]:
    """Between which shares 95 of 100 draws of so many queries lie."""
    drawn = np.random.default_rng(0).binomial(QUERIES, rate, 100_000) / QUERIES
    return [round(float(bound), 4) for bound in np.quantile(drawn, [0.025, 0.975])]


def _scenes(count: int, *, seed: int) -> list[Scene]:
    """Half of them static, half of them temporal."""
    halves = [
        scenes(count // 2, part=part, split="test", seed=seed) for part in ("static", "temporal")
    ]
    return [scene for half in halves for scene in half]


def _captions(shown: list[Scene]) -> list[str]:
    rng = random.Random("with")
    return [rng.choice(shown[i % len(shown)].captions) for i in range(QUERIES)]


def _of_others(shown: list[Scene]) -> list[str]:
    rng = random.Random("without")
    deeds = {scene.deeds for scene in shown}
    said = {caption for scene in shown for caption in scene.captions}
    others = [
        scene
        for scene in _scenes(6 * QUERIES, seed=202)
        if not any(scene.deeds <= shown_ones for shown_ones in deeds)
    ]
    rng.shuffle(others)
    captions = dict.fromkeys(rng.choice(scene.captions) for scene in others)
    return [caption for caption in captions if caption not in said][:QUERIES]


def _encoded(model: Any, shown: list[Scene]) -> Floats:
    parts = []
    for first in range(0, len(shown), BATCH):
        drawn = [
            clip(s, model.num_frames, size=model.image_size) for s in shown[first : first + BATCH]
        ]
        with torch.inference_mode():
            parts.append(model.encode_videos(model.transform(np.stack(drawn))).numpy())
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
