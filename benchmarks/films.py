"""What an hour of footage costs, and what several processes make of one film.

`an hour` are CPU seconds of one thread for an hour of 720p and 1080p by every sampling, one frame a
second in windows that overlap by half; of films drawn as in `benchmarks/decode.py`, which are
harder to decode than most. `one film` is ten minutes of 720p, whose frames go by at so many a
second with one process and with two, taken in turns; the share of the CPU is what two need over
one. Writes results/benchmarks/films-<machine>.json.

    python benchmarks/films.py [--seconds 24] [--repeats 2]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from decode import FPS, MODES, cpu_seconds, draw, lengthen
from tempme.results.runs import environment, machine, write
from tempme.video import Reading, VideoWindows, decode_many, load_windows

ROOT = Path(__file__).parents[1]
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
GROUPS = (250, 50)
HOUR = 3600
# Short pieces, so that ten minutes are several stretches.
PIECES = Reading(sampling="exact", piece_windows=16)


def an_hour(path: Path, seconds: int, repeats: int) -> dict[str, int]:
    """CPU seconds of each sampling."""
    spent: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(repeats):
        for mode in MODES:
            spent[mode].append(cpu_seconds(partial(load_windows, path, Reading(sampling=mode))))
    return {mode: round(statistics.median(spent[mode]) * HOUR / seconds) for mode in MODES}


def one_film(film: Path, repeats: int) -> dict[str, Any]:
    """Frames of the film a second, and CPU seconds of the processes."""
    told: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    frames = 0
    for _ in range(repeats):
        for workers, runs in told.items():
            begin, before = time.monotonic(), _cpu_of_children()
            for _, piece in decode_many([film], PIECES, workers=workers):
                assert isinstance(piece, VideoWindows)
                frames = piece.info.num_frames
            runs.append((time.monotonic() - begin, _cpu_of_children() - before))
    seconds = {n: statistics.median(run[0] for run in runs) for n, runs in told.items()}
    cpu = {n: statistics.median(run[1] for run in runs) for n, runs in told.items()}
    return {
        "frames": frames,
        "frames_a_second": {f"{n} processes": round(frames / seconds[n]) for n in told},
        "cpu_seconds": {f"{n} processes": round(cpu[n], 2) for n in told},
        "times_as_fast": round(seconds[1] / seconds[2], 2),
        "share_of_cpu": round(cpu[2] / cpu[1], 3),
    }


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    report: dict[str, Any] = {
        **{key: environment()[key] for key in ("machine", "commit")},
        "load_average": round(os.getloadavg()[0], 1),
        "drawn_seconds": asked.seconds,
        "frames_of_the_films_a_second": FPS,
        "repeats": asked.repeats,
        "cpu_seconds_of_an_hour": {},
    }
    target = ROOT / "results" / "benchmarks" / f"films-{machine()}.json"
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = draw(Path(folder), size, asked.seconds, groups=GROUPS)
            for kind, path in made.items():
                row = an_hour(path, asked.seconds, asked.repeats)
                report["cpu_seconds_of_an_hour"][kind] = row
                print(kind, row, flush=True)
            if name == "720p":
                film = Path(folder) / "film.mp4"
                lengthen(made["h264 720p, groups of 50"], film)
                report["one_film"] = one_film(film, asked.repeats)
                print(report["one_film"], flush=True)
            write(report, target)


if __name__ == "__main__":
    main()
