"""What thumbnails cost indexing: they are made when a page shows them, in a process beside it.

Indexes the same generated videos by a service, in turns: alone, and while a page asks for pictures
of moments that nobody has seen, so many a second. Writes results/benchmarks/thumbnails.json: videos
per second of both (medians of the turns), what the processor did for one picture and for one video,
and the load of the machine, in which others' work shows.

    python benchmarks/thumbnails.py [--videos 24] [--turns 3] [--rate 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tempme import load
from tempme.index import Index
from tempme.index.moments import Video
from tempme.results.runs import machine
from tempme.scenes import scenes, write_video
from tempme.serving.media.media import Media
from tempme.serving.settings import ServeLimits

MODEL = "scenes-tiny"
SCENES_A_VIDEO = 3
WIDTH = 480


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--videos", type=int, default=24)
    asked.add_argument("--turns", type=int, default=3)
    asked.add_argument("--rate", type=float, default=5.0)
    asked.add_argument("--out", type=Path, default=Path("results/benchmarks/thumbnails.json"))
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = _measured(Path(folder), given)
    told |= {"machine": machine(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(told))
    given.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _measured(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    videos = folder / "videos"
    videos.mkdir()
    drawn = scenes(SCENES_A_VIDEO * given.videos, part="static", split="test", seed=1)
    for number in range(given.videos):
        shown = drawn[SCENES_A_VIDEO * number :][:SCENES_A_VIDEO]
        write_video(tuple(shown), videos / f"{number}.mp4", size=360, fps=25, codec="libx264")
    alone, beside, cpu = [], [], []
    seen = Index.create(folder / "seen.tempme", load(MODEL))
    seen.add(videos)
    for turn in range(given.turns):
        seconds, used = _indexed(folder / f"alone {turn}.tempme", videos)
        alone.append(given.videos / seconds)
        cpu.append(used / given.videos)
        with _Page(seen.videos(), folder / f"cache {turn}", given.rate):
            seconds, _ = _indexed(folder / f"beside {turn}.tempme", videos)
        beside.append(given.videos / seconds)
    return {
        "videos": given.videos,
        "seconds_a_video": seen.videos()[0].duration_seconds,
        "pictures_a_second": given.rate,
        "alone_videos_per_second": round(statistics.median(alone), 3),
        "beside_videos_per_second": round(statistics.median(beside), 3),
        "picture_cpu_ms": round(1000 * _picture_cpu(seen.videos(), folder / "cache"), 1),
        "video_cpu_ms": round(1000 * statistics.median(cpu), 1),
    }


def _indexed(path: Path, videos: Path) -> tuple[float, float]:
    """Seconds by the clock, and of the processor, workers included."""
    index = Index.create(path, load(MODEL))
    used, begin = _cpu(), time.monotonic()
    report = index.add(videos)
    assert not report.failures
    return time.monotonic() - begin, _cpu() - used


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


class _Page:
    """Asks for new pictures at a steady rate while it is entered."""

    def __init__(self, videos: tuple[Video, ...], cache: Path, rate: float) -> None:
        self._videos, self._rate = videos, rate
        self._media = Media(cache, ServeLimits())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._media.close()

    async def _ask(self) -> None:
        asking: set[asyncio.Task[Path]] = set()
        number = 0
        while not self._stop.is_set():
            asking.add(asyncio.create_task(_picture(self._media, self._videos, number)))
            number += 1
            await asyncio.sleep(1 / self._rate)
        await asyncio.gather(*asking)


async def _picture(media: Media, videos: tuple[Video, ...], number: int) -> Path:
    """A picture that nobody asked for before."""
    video = videos[number % len(videos)]
    seconds = (0.37 * number) % video.duration_seconds
    return await media.picture(video, seconds, WIDTH)


def _picture_cpu(videos: tuple[Video, ...], cache: Path, count: int = 50) -> float:
    """Seconds of the processor for one picture, the start of the process left out."""

    async def make(first: int, last: int) -> None:
        media = Media(cache, ServeLimits())
        for number in range(first, last):
            await _picture(media, videos, number)
        media.close()

    used = [_cpu()]
    for first, last in ((0, 1), (1, count + 1)):
        asyncio.run(make(first, last))
        used.append(_cpu())
    return (used[2] - used[1] - (used[1] - used[0])) / count


if __name__ == "__main__":
    main()
