"""Files that people search by, decoded in a process that may crash, and never kept."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import IO

from tempme.index import Index
from tempme.index.building.encode import encode_windows
from tempme.processes.limits import Limits
from tempme.processes.pool import Crash, Workers
from tempme.serving.media.seeing import LookAt, decode
from tempme.serving.problems import Problem
from tempme.serving.searching import Upload
from tempme.serving.settings import ServeLimits

GRACE_SECONDS = 10.0


class Uploads:
    """Turns uploaded files into features."""

    def __init__(self, index: Index, limits: ServeLimits) -> None:
        self._index, self._limits = index, limits
        each = Limits(timeout_seconds=limits.upload_seconds + GRACE_SECONDS)
        self._crew = Workers(decode, workers=1, limits=each)

    def close(self) -> None:
        """End the process."""
        self._crew.close()

    async def read(self, file: IO[bytes]) -> Upload:
        """The features of a picture or video; Problem if it is neither."""
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
        features = await asyncio.to_thread(
            encode_windows, self._index.retriever, seen.pixels, windows=seen.windows
        )
        return Upload(id_, seen.kind, features)

    def _look(self, path: Path) -> LookAt:
        model = self._index.retriever
        reading = self._index.header.cutting.reading(
            frames=model.num_frames,
            size=model.image_size,
            timeout_seconds=self._limits.upload_seconds,
            total_seconds=self._limits.upload_seconds,
        )
        return LookAt(path, reading, most_pixels=self._limits.image_pixels)


def _store(file: IO[bytes], path: Path) -> str:
    """Copy it to where a process can read it; the name of its content."""
    file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out)
    with path.open("rb") as made:
        return hashlib.file_digest(made, "sha256").hexdigest()[:32]
