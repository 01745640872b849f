"""Which files are videos, and what their content is called, a few files ahead of the decoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tempme.index.building.scan import VIDEO_SUFFIXES, File, digest_of

THREADS = 2
AHEAD = 8

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Identified:
    """A file and the name of its content; `digest` is empty where it could not be read."""

    file: File
    digest: str
    reason: str = ""


def keep_videos(files: Iterable[File]) -> tuple[File, ...]:
    """Those whose content is a video, and those that are named like one but do not open."""
    return tuple(file for file, keep in _ahead(_with_verdict, files) if keep)


def identify(files: Iterable[File]) -> Iterator[Identified]:
    """The files in their order with their digests, read in threads while the caller works."""
    return _ahead(_identify, files)


def _with_verdict(file: File) -> tuple[File, bool]:
    from tempme.video import is_video

    return file, _is_named_like_a_video(file.path) or is_video(file.path)


def _is_named_like_a_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _identify(file: File) -> Identified:
    try:
        return Identified(file, digest_of(file.path))
    except OSError as error:
        return Identified(file, "", (error.strerror or str(error)).lower())


def _ahead(work: Callable[[In], Out], values: Iterable[In]) -> Iterator[Out]:
    """`map` in threads, in order, never more than `AHEAD` values before the caller."""
    waiting: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for value in values:
            waiting.append(pool.submit(work, value))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
