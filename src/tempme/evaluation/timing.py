"""How fast systems encode videos: measured in turns, with the machine in the result.

A processor that others use, too, or that heats up, is slower at one moment than at the next. So
what is compared runs in turns within one process, and ratios are those of neighbouring turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

from tempme.retriever.retriever import Retriever

Encoding = Callable[[], object]


def encoding(ready: Retriever, videos: int) -> Encoding:
    """So many videos of noise, to be encoded at once, on the device of the retriever."""
    size = ready.image_size
    frames = torch.randn(videos, ready.num_frames, 3, size, size, device=ready.device)

    def encode() -> object:
        with torch.inference_mode():
            return ready.encode_videos(frames).sum().item()  # a number waits for the device

    return encode


def clock() -> str:
    """What `in_turns` reads: the time that passes, or that a single thread was at work.

    The latter is the same on a machine that does nothing else, and does not count what the thread
    waited for others on a machine that does. Where there is a GPU, waiting for it counts.
    """
    is_alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return "processor" if is_alone else "wall"


def in_turns(jobs: Mapping[str, Encoding], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each job in each round; every round runs all of them, after one to warm up."""
    now = time.perf_counter if clock() == "wall" else time.process_time
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = now()
            job()
            seconds[name].append(now() - begin)
    return seconds


def summary(seconds: list[float], *, videos: int) -> dict[str, float]:
    """Videos per second: median, and the least and most of all rounds."""
    rates = [videos / each for each in seconds]
    return {
        "videos_per_second": round(statistics.median(rates), 4),
        "least": round(min(rates), 4),
        "most": round(max(rates), 4),
    }


def ratio(slower: list[float], faster: list[float]) -> float:
    """How many times as fast: the median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))
