"""What an hour of footage costs in an index, and what is found in it, by system and by windows.

Windows of a film overlap, and what they share is computed once (`retriever.windows`): a dense
encoder sees every frame once, joins of 2-2-3 (TempMe's) share frames, joins of 2-3-2 share whole
clips of six. So what a window alone saves says little of what an hour does. Three parts:

cost: multiply-adds of an hour at a frame a second, from integers.
speed: processor seconds of one thread, systems in turns, windows as an index encodes them.
found: R@1 of moments: films of generated scenes, four frames a second; the first hit is of the
    right film, and its middle lies in the scene that the caption tells.

Writes results/benchmarks/footage-<machine>.json. All of it takes about 8 minutes of a quiet
machine; in parts, rows of the same commit and settings that the file has stay.

    python benchmarks/footage.py [--measure cost speed found] [--films 8]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from parts import Report, Row
from tempme.evaluation.timing import in_turns, ratio
from tempme.index.building.encode import encode_queries, encode_windows
from tempme.results import runs as results
from tempme.retriever.footage import gmacs_of_windows, windows_of
from tempme.retriever.retriever import Retriever
from tempme.scenes import PLAIN_PARTS, Part, clip, scenes
from tempme.systems.system import System
from tempme.systems.table import system

ROOT = Path(__file__).parents[1]
MODEL, BIG, DENSE, SHIPPED = "scenes-tiny", "ViT-B/32", "lora", "tempme, trained"
SYSTEMS = (
    *(DENSE, "tome", "tempme", "tempme-halves"),
    *("rlt-share", "rlt-size", "tempme-rlt", "tempme-rlt-halves"),
    *("tempme at 0.5", "tempme-average at 0.5", "earlytom at 0.5"),  # of the dense multiply-adds
)
HOUR = 3600  # frames, one a second
TIMED = 96  # frames of the film that is timed
EVERY_SECONDS, SCENES_IN_FILM, SEED = 0.25, 4, 5


class Cut(NamedTuple):
    """Windows of so many frames, one every `stride` frames."""

    window: int
    stride: int


CUTS = (Cut(12, 6), Cut(12, 12), Cut(12, 3), Cut(6, 3))
TIMED_OF_BIG = CUTS[:1]


def row_of(name: str, backbone: str, window: int) -> System:
    """A system by its name, within a budget where it is named, too."""
    row, _, budget = name.partition(" at ")
    share = float(budget) if budget else None
    return system(row, backbone=backbone, frames=window, budget=share)


def model_of(name: str, backbone: str, window: int) -> Retriever | None:
    """A system on the shipped backbone, untrained, or on random weights; as trained if shipped."""
    if name == SHIPPED:
        shipped = Retriever.load(MODEL)
        return shipped if (backbone, window) == (MODEL, shipped.num_frames) else None
    weights = MODEL if backbone == MODEL else None
    return Retriever.build(row_of(name, backbone, window), weights, seed=0)


def models_of(backbone: str, window: int) -> dict[str, Retriever]:
    """Every system that there is of this backbone and window, ready to encode, dense first."""
    names = (*SYSTEMS, SHIPPED)
    found = {name: model_of(name, backbone, window) for name in names}
    return {name: one.for_inference("fp32") for name, one in found.items() if one is not None}


def costs(report: Report, options: argparse.Namespace) -> None:  # noqa: ARG001
    """Multiply-adds of an hour; `share` is of the dense system, which sees each frame once."""
    for backbone in (BIG, MODEL):
        dense = None
        for cut in CUTS:
            windows = windows_of(HOUR, window=cut.window, stride=cut.stride)
            for name in SYSTEMS:
                with torch.device("meta"):
                    row = row_of(name, backbone, cut.window)
                    model = Retriever.build(row, None)
                gmacs = gmacs_of_windows(model, windows)
                dense = dense or gmacs
                told: Row = {"backbone": backbone, "system": name, **cut._asdict()}
                told |= {"windows": len(windows), "gmacs_hour": round(gmacs)}
                told |= {"share": round(gmacs / dense, 3)}
                told["share_alone"] = round(row.cost().gmacs / _dense_alone(row.backbone, cut), 3)
                report.add("cost", KEYS, [told])


def _dense_alone(backbone: object, cut: Cut) -> float:
    return system(DENSE, backbone=backbone, frames=cut.window).cost().gmacs  # type: ignore[arg-type]


def speeds(report: Report, options: argparse.Namespace) -> None:
    """Seconds of an hour, systems in turns; `times`: as fast as the dense one in the same turn."""
    torch.set_num_threads(1)
    for backbone, cuts in ((MODEL, CUTS), (BIG, TIMED_OF_BIG)):
        for cut in cuts:
            windows = windows_of(TIMED, window=cut.window, stride=cut.stride).numpy()
            models = models_of(backbone, cut.window)
            jobs = {name: encoding(one, windows) for name, one in models.items()}
            seconds = in_turns(jobs, rounds=options.rounds)
            frames = int(windows.max()) + 1
            for name, of_one in seconds.items():
                told: Row = {"backbone": backbone, "system": name, **cut._asdict()}
                told["seconds_hour"] = round(median(of_one) * HOUR / frames, 2)
                told["times"] = round(ratio(seconds[DENSE], of_one), 3)
                report.add("speed", KEYS, [told])


def encoding(ready: Retriever, windows: NDArray[np.int64]) -> Callable[[], object]:
    """Windows of a film of noise, as an index encodes them."""
    size = ready.image_size
    shape = (int(windows.max()) + 1, size, size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    return lambda: encode_windows(ready, pixels, windows=windows)


@dataclass(frozen=True, eq=False)
class Film:
    """Frames (N, S, S, 3), and what is told of every scene, with its first and last frame."""

    pixels: NDArray[np.uint8]
    told: tuple[tuple[str, int, int], ...]


def films_of(part: Part, count: int, size: int) -> list[Film]:
    """Films of scenes one after the other, a frame every quarter of a second."""
    drawn = scenes(count * SCENES_IN_FILM, part=part, split="test", seed=SEED)
    films = []
    for first in range(0, len(drawn), SCENES_IN_FILM):
        pixels, told, start = [], [], 0
        for scene in drawn[first : first + SCENES_IN_FILM]:
            frames = round(scene.seconds / EVERY_SECONDS)
            pixels.append(clip(scene, frames, size=size))
            told.append((scene.captions[0], start, start + frames - 1))
            start += frames
        films.append(Film(np.concatenate(pixels), tuple(told)))
    return films


def found(report: Report, options: argparse.Namespace) -> None:
    """R@1 of moments."""
    torch.set_num_threads(options.threads)
    size = Retriever.load(MODEL).image_size
    films = {part: films_of(part, options.films, size) for part in PLAIN_PARTS}
    for window in dict.fromkeys(cut.window for cut in CUTS):
        for name, ready in models_of(MODEL, window).items():
            for cut in (one for one in CUTS if one.window == window):
                told: Row = {"backbone": MODEL, "system": name, **cut._asdict()}
                told |= {f"{part}_r1": r1(ready, some, cut) for part, some in films.items()}
                report.add("found", KEYS, [told])


def r1(ready: Retriever, films: Sequence[Film], cut: Cut) -> float:
    """% of captions whose nearest window, of all films, has its middle in their scene."""
    cuts = [windows_of(len(f.pixels), window=cut.window, stride=cut.stride).numpy() for f in films]
    pairs = zip(films, cuts, strict=True)
    moments = np.concatenate([encode_windows(ready, f.pixels, windows=w) for f, w in pairs])
    texts = encode_queries(ready, [said for film in films for said, *_ in film.told])
    best = (texts @ moments.T).argmax(axis=1)
    film_of = np.repeat(np.arange(len(films)), [len(w) for w in cuts])
    middle = np.concatenate([w.mean(axis=1) for w in cuts])[best]
    right = np.array([(n, *span) for n, film in enumerate(films) for _, *span in film.told])
    hit = (film_of[best] == right[:, 0]) & (right[:, 1] <= middle) & (middle <= right[:, 2])
    return round(100 * float(hit.mean()), 1)


KEYS = ("backbone", "system", "window", "stride")
MEASURES = {"cost": costs, "speed": speeds, "found": found}


def main() -> None:
    """Measure what is asked for, print and write."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--measure", nargs="+", choices=MEASURES, default=list(MEASURES))
    words.add_argument("--films", type=int, default=8, help="of each part")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of R@1")
    words.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    options = words.parse_args()
    note = (
        f"an hour is {HOUR} frames, one a second; window and stride in frames; share: of the "
        f"multiply-adds of {DENSE}, which merges nothing, an hour's and those of a window alone. "
        f"Speed: processor seconds of an hour on one thread, times: as fast as {DENSE} in turns, "
        f"median of {options.rounds} rounds; {BIG} has random weights. Found: R@1 of moments in "
        f"%, {options.films} films of {SCENES_IN_FILM} scenes a part, {1 / EVERY_SECONDS:g} frames "
        f"a second; systems untrained on the backbone of {MODEL}, but for the shipped one"
    )
    path = options.out / f"footage-{results.machine()}.json"
    report = Report.at(path, {"note": note}, list(MEASURES))
    for name in options.measure:
        MEASURES[name](report, options)


if __name__ == "__main__":
    main()
