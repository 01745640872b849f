"""Files that people search by, decoded in a process that may crash, and never kept.

One at a time, and each within a stated time: it waits for the one before for a quarter of that at
most, half is for decoding, and what is left for encoding. Of a long video what fits is compared.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tempme.index import Index
from tempme.index.building.encode import encode_windows
from tempme.processes.limits import Limits
from tempme.processes.pool import Crash, Workers
from tempme.serving.media.seeing import LookAt, Seen, decode
from tempme.serving.problems import Problem
from tempme.serving.searching import Upload
from tempme.serving.settings import ServeLimits

WAITING, DECODING = 0.25, 0.5
"""Shares of the time of an upload."""
GRACE_SECONDS = 0.5
# Windows that are encoded between two looks at the clock.
AT_ONCE = 2


class Uploads:
    """Turns uploaded files into features."""

    def __init__(self, index: Index, limits: ServeLimits) -> None:
        self._index, self._limits = index, limits
        each = Limits(timeout_seconds=DECODING * limits.upload_seconds, grace_seconds=GRACE_SECONDS)
        self._crew = Workers(decode, workers=1, limits=each)
        self._turn = asyncio.Semaphore(1)

    def close(self) -> None:
        """End the process."""
        self._crew.close()

    async def read(self, file: IO[bytes]) -> Upload:
        """The features of a picture or video; Problem if it is neither, or others are before it."""
        end = monotonic() + self._limits.upload_seconds
        async with self._a_turn():
            with tempfile.TemporaryDirectory(prefix="tempme-upload-") as folder:
                path = Path(folder) / "upload"
                id_ = await asyncio.to_thread(_store, file, path)
                seen = await asyncio.wrap_future(
                    self._crew.submit(await asyncio.to_thread(self._look, path))
                )
            if isinstance(seen, Crash) or seen.pixels is None or seen.windows is None:
                raise Problem(
                    422,
                    "unreadable-upload",
                    f"the file cannot be searched by: {seen.reason}; give a picture or a video",
                )
            return await asyncio.to_thread(self._encoded, id_, seen, end)

    @asynccontextmanager
    async def _a_turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAITING * self._limits.upload_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise Problem(
                503,
                "busy",
                "other uploads are being looked at: try again in a few seconds",
                headers={"Retry-After": "5"},
            ) from None
        try:
            yield
        finally:
            self._turn.release()

    def _look(self, path: Path) -> LookAt:
        model, seconds = self._index.retriever, DECODING * self._limits.upload_seconds
        reading = self._index.header.cutting.reading(
            frames=model.num_frames,
            size=model.image_size,
            timeout_seconds=seconds,
            total_seconds=seconds,
        )
        return LookAt(path, reading, most_pixels=self._limits.image_pixels)

    def _encoded(self, id_: str, seen: Seen, end: float) -> Upload:
        """Encode windows that lie ever closer together, until there is no time for more."""
        assert seen.pixels is not None
        assert seen.windows is not None
        done: dict[int, NDArray[np.float32]] = {}
        for places in _ever_closer(len(seen.windows), AT_ONCE):
            if done and monotonic() > end:
                break
            rows = encode_windows(
                self._index.retriever, seen.pixels, windows=seen.windows[list(places)]
            )
            done.update(zip(places, rows, strict=True))
        note = seen.note
        if len(done) < len(seen.windows):
            share = f"{len(done)} of {len(seen.windows)} parts"
            note = f"for want of time the file was compared by {share} of it"
        return Upload(id_, seen.kind, np.stack([done[place] for place in sorted(done)]), note)


def _ever_closer(count: int, most: int) -> Iterator[tuple[int, ...]]:
    """The places 0 to count - 1, at most `most` at a time, every beginning of them spread out."""
    step = 1 << max(0, count - 1).bit_length()
    order = [0] if count else []
    while step > 1:
        step //= 2
        order += range(step, count, 2 * step)
    for start in range(0, len(order), most):
        yield tuple(order[start : start + most])


def _store(file: IO[bytes], path: Path) -> str:
    """Copy it to where a process can read it; the name of its content."""
    file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out)
    with path.open("rb") as made:
        return hashlib.file_digest(made, "sha256").hexdigest()[:32]
