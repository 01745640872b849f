"""What `--sampling auto` and `fast` save beside `exact`, and what they see instead.

Of a folder of clips and of generated scenes: CPU seconds in turns (one thread), the share of the
wanted frames that a keyframe stood in for, how far the squares of 224 that windows show are from
those of exact frames (mean difference of levels, of 255), and the cosine of the windows' features
(scenes-tiny; it knows generated scenes only, so that of other clips it shows the mechanics alone).
Writes results/benchmarks/sampling-<machine>.json.

    python benchmarks/sampling.py [--clips FOLDER] [--scenes 16] [--repeats 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tempme
from tempme.index.building.encode import Encoder, encode_windows
from tempme.results.runs import environment, machine, write
from tempme.scenes.recording import write as record
from tempme.video import Reading, VideoWindows, load_windows

ROOT = Path(__file__).parents[1]
MODES = ("exact", "auto", "fast")
KINDS = {".avi", ".gif", ".mkv", ".mov", ".mp4", ".webm"}
# Scenes of a film.
ACTS, FPS = 4, 25


@dataclass
class Measured:
    """What came of many files, file by file; `apart` and `cosines` window by window."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    wanted: int = 0
    replaced: int = 0
    apart: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    cosines: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})

    def row(self) -> dict[str, Any]:
        """As it is reported."""
        exact = sum(self.seconds["exact"])
        told: dict[str, Any] = {
            "files": len(self.seconds["exact"]),
            "exact_cpu_seconds": round(exact, 2),
            "frames_wanted": self.wanted,
            "share_replaced": round(self.replaced / max(1, self.wanted), 3),
        }
        for mode in MODES[1:]:
            ratios = [
                own / most
                for own, most in zip(self.seconds[mode], self.seconds["exact"], strict=True)
            ]
            told[mode] = {
                "cpu_to_exact": round(sum(self.seconds[mode]) / exact, 3),
                "median_of_files": round(statistics.median(ratios), 3),
                "levels_apart_mean": round(float(np.mean(self.apart[mode])), 2),
                "levels_apart_95th": round(float(np.percentile(self.apart[mode], 95)), 2),
                "cosine_mean": round(float(np.mean(self.cosines[mode])), 4),
                "cosine_5th": round(float(np.percentile(self.cosines[mode], 5)), 4),
                "cosine_least": round(min(self.cosines[mode]), 4),
            }
        return told


def look(path: Path, retriever: Encoder, into: Measured, repeats: int) -> bool:
    """Read a file by every sampling; whether more than one of its frames can stand in."""
    found, spent = {}, {mode: [] for mode in MODES}
    for _ in range(repeats):
        for mode in MODES:
            begin = time.process_time()
            made = load_windows(path, Reading(sampling=mode, size=retriever.image_size))
            spent[mode].append(time.process_time() - begin)
            if not isinstance(made, VideoWindows):
                return False
            found[mode] = made
    features = {mode: encoded(retriever, made) for mode, made in found.items()}
    exact = found["exact"]
    into.wanted += len(exact.pixels)
    pairs = set(zip(_seconds(exact), _seconds(found["auto"]), strict=True))
    into.replaced += sum(wanted != taken for wanted, taken in pairs)
    for mode, made in found.items():
        into.seconds[mode].append(min(spent[mode]))
        differ = np.abs(made.pixels[made.windows].astype(np.int16) - exact.pixels[exact.windows])
        into.apart[mode] += differ.mean(axis=(1, 2, 3, 4)).tolist()
        into.cosines[mode] += (features[mode] * features["exact"]).sum(axis=1).tolist()
    return exact.info.num_keyframes > 1


def encoded(retriever: Encoder, made: VideoWindows) -> np.ndarray:
    """Unit features (W, D)."""
    return encode_windows(retriever, made.pixels, windows=made.windows)


def _seconds(made: VideoWindows) -> list[float]:
    return made.seconds[made.windows].ravel().round(4).tolist()


def measured(files: Sequence[Path], retriever: Encoder, repeats: int) -> dict[str, Any]:
    """All files, and apart those of one group of pictures, where nothing but it can stand in."""
    one, several = Measured(), Measured()
    for path in files:
        trial = Measured()
        goes = several if look(path, retriever, trial, repeats) else one
        goes.wanted += trial.wanted
        goes.replaced += trial.replaced
        for mode in MODES:
            goes.seconds[mode] += trial.seconds[mode]
            goes.apart[mode] += trial.apart[mode]
            goes.cosines[mode] += trial.cosines[mode]
    parts = {"one keyframe": one, "several keyframes": several}
    return {name: part.row() for name, part in parts.items() if part.seconds["exact"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    retriever = tempme.load("scenes-tiny").for_inference()
    report: dict[str, Any] = {
        **{key: environment()[key] for key in ("machine", "commit")},
        "model": "scenes-tiny",
        "repeats": asked.repeats,
    }
    clips = sorted(path for path in asked.clips.glob("*") if path.suffix in KINDS)
    if clips:
        report["clips"] = measured(clips, retriever, asked.repeats)
        print(report["clips"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        record(asked.scenes * ACTS, Path(folder), fps=FPS, scenes_per_video=ACTS)
        files = sorted(Path(folder).glob("*.mp4"))
        report["generated scenes"] = measured(files, retriever, asked.repeats)
        print(report["generated scenes"], flush=True)
    write(report, ROOT / "results" / "benchmarks" / f"sampling-{machine()}.json")


if __name__ == "__main__":
    main()
