"""Pictures and clips on demand, made in worker processes, each once, and kept within a size."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tempme.index.moments import Video
from tempme.processes.limits import Limits
from tempme.processes.pool import Crash, Workers
from tempme.serving.media.cache import Cache
from tempme.serving.media.cutting import Excerpt, Made, Order, Playability, Still, make
from tempme.serving.problems import Problem
from tempme.serving.settings import ServeLimits

THUMBNAIL_WIDTHS = (160, 320, 480, 640, 1280)
CLIP_HEIGHTS = (240, 480, 720, 1080)
STREAM_HEIGHT = 720
TAIL_SECONDS = 0.1
BLOCK_BYTES = 1 << 18
PATIENCE_SECONDS = 2.0

Answer = Future[Made | Crash]


@dataclass(frozen=True)
class Growing:
    """A file that plays while it is still being written."""

    path: Path
    making: Answer


class Media:
    """What browsers show of videos; close it when the service ends."""

    def __init__(self, folder: Path, limits: ServeLimits) -> None:
        self.cache = Cache(folder, most_bytes=limits.cache_bytes)
        # Pictures have a process of their own: a page of them never waits for a long clip.
        small = Limits(timeout_seconds=limits.picture_seconds)
        large = Limits(timeout_seconds=limits.media_seconds)
        self._small = Workers(make, workers=1, limits=small)
        self._large = Workers(make, workers=limits.media_processes, limits=large)
        self._most_waiting = limits.waiting
        self._making: dict[Path, Answer] = {}
        self._types: dict[str, str] = {}

    def close(self) -> None:
        """End the processes."""
        self._small.close()
        self._large.close()

    async def picture(self, video: Video, seconds: float, width: int) -> Path:
        """A JPEG of the frame at `seconds`, or of a picture, at most `width` wide."""
        name = _name(video, f"{seconds:.3f}", f"{width}.jpg")
        at = None if is_picture(video) else seconds
        order = Still(video.path, at, width, self.cache.path(name))
        return await self._file(name, order, self._small)

    async def clip(
        self, video: Video, start: float, end: float, height: int, *, has_sound: bool
    ) -> Path:
        """An MP4 of exactly this span."""
        _check_plays(video)
        name = _name(video, f"{start:.3f}-{end:.3f}", f"{height}{'s' if has_sound else ''}.mp4")
        order = Excerpt(video.path, start, end, height, self.cache.path(name), has_sound)
        return await self._file(name, order, self._large)

    async def playable(self, video: Video) -> tuple[Path, str] | Growing:
        """The file itself and its type if browsers play it; else a copy, perhaps unfinished."""
        _check_plays(video)
        kind = await self._type(video)
        if kind:
            return video.path, kind
        name = _name(video, "whole", f"{STREAM_HEIGHT}.mp4")
        if (found := self.cache.find(name)) is not None:
            return found, "video/mp4"
        target = self.cache.path(name)
        growing = target.with_suffix(".growing.mp4")
        target.parent.mkdir(parents=True, exist_ok=True)
        order = Excerpt(video.path, 0.0, None, STREAM_HEIGHT, target, growing=growing)
        making = self._start(order, self._large)
        # Short videos are done at once, and can then be sought in.
        await asyncio.wait([asyncio.wrap_future(making)], timeout=PATIENCE_SECONDS)
        if making.done():
            self._check(making.result(), video.path)
            return target, "video/mp4"
        return Growing(growing, making)

    async def _type(self, video: Video) -> str:
        if video.digest not in self._types:
            made = await asyncio.wrap_future(self._small.submit(Playability(video.path)))
            self._check(made, video.path)
            self._types[video.digest] = made.type if isinstance(made, Made) else ""
        return self._types[video.digest]

    async def _file(self, name: str, order: Still | Excerpt, crew: Workers[Order, Made]) -> Path:
        if (found := self.cache.find(name)) is not None:
            return found
        self._check(await asyncio.wrap_future(self._start(order, crew)), order.source)
        self.cache.added()
        return order.target

    def _start(self, order: Still | Excerpt, crew: Workers[Order, Made]) -> Answer:
        """The work on this target, which may have begun for another request."""
        known = self._making.get(order.target)
        if known is None or known.done():
            if len(self._making) >= self._most_waiting:
                raise Problem(
                    503,
                    "busy",
                    "too many pictures and clips wait to be made: try again in a few seconds",
                    headers={"Retry-After": "5"},
                )
            known = self._making[order.target] = crew.submit(order)
            known.add_done_callback(lambda _: self._making.pop(order.target, None))
        return known

    def _check(self, made: Made | Crash, path: Path) -> None:
        if isinstance(made, Crash) or made.reason:
            raise Problem(422, "cannot-be-shown", f"{path.name}: {made.reason}")


async def follow(growing: Growing) -> AsyncIterator[bytes]:
    """What is in the file, and what is written to it until it is whole."""
    while not growing.path.exists() and not growing.making.done():
        await asyncio.sleep(TAIL_SECONDS)
    with suppress(FileNotFoundError), growing.path.open("rb") as file:
        while True:
            is_last = growing.making.done()
            while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                yield block
            if is_last:
                return
            await asyncio.sleep(TAIL_SECONDS)


def is_picture(video: Video) -> bool:
    """Whether the file is a picture: a moment without length."""
    return video.duration_seconds == 0


def _check_plays(video: Video) -> None:
    if is_picture(video):
        raise Problem(
            422, "cannot-be-shown", f"{video.path.name} is a picture: only its thumbnail is shown"
        )


def nearest(wanted: int, allowed: tuple[int, ...]) -> int:
    """The smallest allowed size that is enough, so that few sizes are kept of each."""
    return next((size for size in allowed if size >= wanted), allowed[-1])


def _name(video: Video, *parts: str) -> str:
    told = hashlib.sha256("/".join((video.digest, *parts)).encode()).hexdigest()[:32]
    return told + Path(parts[-1]).suffix
