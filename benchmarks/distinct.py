"""What `--distinct` saves and costs: indexes of generated videos with and without repeats.

Films of several scenes one after the other, each captioned with its time, indexed by the shipped
model. R@1: the first hit among moments is of the right film, and shows the middle of what the
caption is about. Writes results/benchmarks/distinct-<machine>.json.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tempme.datasets.pairs import Pair
from tempme.index import Hit, Index
from tempme.results import runs as results
from tempme.scenes import scenes, write_video

ROOT = Path(__file__).parents[1]
FILMS, SCENES_IN_FILM, SIZE, FPS = 12, 4, 128, 8
EVERY_SECONDS, OVERLAP = 0.25, 0.75  # windows of 3 s that start 0.75 s apart
EPSILONS = (0.0, 0.005, 0.02, 0.05, 0.1)


def films(folder: Path) -> list[Pair]:
    """The films, and a caption of every scene in them."""
    found = scenes(FILMS * SCENES_IN_FILM, part="static", split="test", seed=5)
    told: list[Pair] = []
    for number in range(FILMS):
        acts = found[number * SCENES_IN_FILM : (number + 1) * SCENES_IN_FILM]
        pairs = write_video(acts, folder / f"film-{number:02}.mp4", size=SIZE, fps=FPS)
        told += {pair.start_seconds: pair for pair in reversed(pairs)}.values()
    return told


def is_right(hit: Hit, pair: Pair) -> bool:
    """Whether the hit is of the film, and shows the middle of what was described."""
    middle = ((pair.start_seconds or 0.0) + (pair.end_seconds or 0.0)) / 2
    within = hit.start_seconds <= middle <= hit.end_seconds
    return within and hit.path.name == Path(pair.video).name


def measured(videos: Path, folder: Path, told: list[Pair], epsilon: float) -> dict[str, Any]:
    """An index with this epsilon: its size, how fast it answers, and how well."""
    index = Index.open(
        folder,
        retriever="scenes-tiny",
        create=True,
        every_seconds=EVERY_SECONDS,
        overlap=OVERLAP,
        distinct=epsilon,
    )
    report = index.add(videos, workers=1)
    right, seconds = 0, []
    for pair in told:
        begin = time.process_time()
        hits = index.search(pair.caption, 1, moments=True)
        seconds.append(time.process_time() - begin)
        right += bool(hits) and is_right(hits[0], pair)
    data = folder / "moments.lance"
    return {
        "distinct": epsilon,
        "moments": report.moments,
        "repeats": report.repeats,
        "kilobytes": round(sum(f.stat().st_size for f in data.rglob("*.lance")) / 1000),
        "search_ms": round(1000 * statistics.median(seconds), 2),
        "r1": round(100 * right / len(told), 1),
    }


def main() -> None:
    """Measure, print and write."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        told = films(videos)
        for epsilon in EPSILONS:
            rows.append(measured(videos, Path(folder) / f"i{epsilon}", told, epsilon))
            print(rows[-1], flush=True)
    note = (
        f"scenes-tiny, {FILMS} films of {SCENES_IN_FILM} static scenes, windows of "
        f"{12 * EVERY_SECONDS:g} s; {len(told)} captions; R@1 of moments in %; search: processor "
        f"time of a query, its words included"
    )
    document = {"note": note, **results.environment(), "rows": rows}
    machine = results.machine()
    results.write(document, ROOT / "results" / "benchmarks" / f"distinct-{machine}.json")


if __name__ == "__main__":
    main()
