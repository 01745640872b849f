"""What `fit` costs and saves: scenes in wide and tall frames, found by their captions.

Run: python benchmarks/fit.py [--model scenes-tiny] [--scenes 100]
Writes results/benchmarks/fit-<machine>.json. Each scene is drawn into a frame of another shape, its
background carried on beside it: at an end, where the centre square misses it, or in the middle. A
row is a shape, a place and a fit; its gallery holds all scenes drawn so, its queries are one
caption of each. R@1 and R@5 are in percent, the similarity is of a caption to its own scene.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import tempme
from tempme.index.building.encode import encode_windows
from tempme.results.runs import environment, machine
from tempme.scenes import Scene, draw, scenes
from tempme.video.transforms import square
from tempme.video.values import FITS, Fit, Pixels

ROOT = Path(__file__).parents[1]
SHAPES = {"2.4:1": (2.4, 1.0), "16:9": (16 / 9, 1.0), "4:3": (4 / 3, 1.0), "9:16": (1.0, 16 / 9)}
PLACES = {"at an end": 0.0, "in the middle": 0.5}
SIZE = 224


def placed(scene: Scene, at: float, shape: tuple[float, float], place: float) -> Pixels:
    """One frame: the scene at a place along the longer side, its background around it."""
    picture = draw(scene, at, size=SIZE)
    empty = draw(dataclasses.replace(scene, actors=()), at, size=SIZE)
    width, height = (round(SIZE * side) // 2 * 2 for side in shape)
    left, top = round((width - SIZE) * place), round((height - SIZE) * place)
    room = ((SIZE, SIZE), (SIZE, SIZE), (0, 0))
    around = np.pad(empty, room, mode="symmetric")
    around[SIZE : 2 * SIZE, SIZE : 2 * SIZE] = picture
    return around[SIZE - top : SIZE - top + height, SIZE - left : SIZE - left + width]


def features_of(
    retriever: tempme.Retriever, gallery: Sequence[Scene], shape: str, place: str, fit: Fit
) -> np.ndarray:
    """(N, D) features of the scenes, drawn and fitted so."""
    # The picture in the middle of the scene for all frames: where things are matters here, and
    # not how they move.
    still = np.zeros((1, retriever.num_frames), np.int64)
    rows = []
    for scene in gallery:
        picture = placed(scene, 0.5, SHAPES[shape], PLACES[place])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        pixels = square(frame, retriever.image_size, fit=fit)[None]
        rows.append(encode_windows(retriever, pixels, windows=still)[0])
    return np.array(rows)


def row_of(features: np.ndarray, texts: np.ndarray) -> dict[str, float]:
    """How well each scene is found by its caption among all."""
    likeness = texts @ features.T
    own = likeness.diagonal()
    ranks = (likeness > own[:, None]).sum(axis=1) + 1
    return {
        "R@1": round(float((ranks == 1).mean() * 100), 1),
        "R@5": round(float((ranks <= 5).mean() * 100), 1),
        "median_rank": float(np.median(ranks)),
        "similarity": round(float(own.mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scenes-tiny")
    parser.add_argument("--scenes", type=int, default=100)
    asked = parser.parse_args()
    torch.set_grad_enabled(False)
    retriever = tempme.load(asked.model)
    gallery = scenes(asked.scenes, part="static", split="test")
    texts = retriever.encode_texts([scene.captions[0] for scene in gallery]).float().numpy()
    report: dict[str, Any] = {
        "machine": machine(),
        "commit": environment()["commit"],
        "model": Path(asked.model).name,
        "fingerprint": retriever.fingerprint,
        "scenes": asked.scenes,
        "rows": [],
    }
    for shape in SHAPES:
        for place in PLACES:
            for fit in FITS:
                found = row_of(features_of(retriever, gallery, shape, place, fit), texts)
                report["rows"].append({"shape": shape, "subject": place, "fit": fit, **found})
                print(report["rows"][-1], flush=True)
    target = ROOT / "results" / "benchmarks" / f"fit-{report['machine']}.json"
    target.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
