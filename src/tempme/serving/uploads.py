"""Files that people search by, decoded in a process that may crash, and never kept."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tempme.index import Index
from tempme.index.building.encode import encode_windows
from tempme.index.header import Cutting
from tempme.processes.pool import Crash, Workers
from tempme.serving.problems import Problem
from tempme.serving.searching import Upload
from tempme.serving.settings import Limits
from tempme.video import Failure, is_video, load_windows, read_image

GRACE_SECONDS = 10.0
# Of a video so many windows are compared, evenly spread.
MOST_WINDOWS = 32


@dataclass(frozen=True)
class Look:
    """A file to decode, and how."""

    path: Path
    frames: int
    size: int
    cutting: Cutting
    most_pixels: int
    most_seconds: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What was in it: `pixels` (N, S, S, 3), `windows` (W, F) into them; or why nothing is."""

    kind: str = ""
    pixels: NDArray[np.uint8] | None = None
    windows: NDArray[np.int64] | None = None
    reason: str = ""


def decode(look: Look) -> Seen:
    """Look at the file in this process."""
    if reason := _too_large(look):
        return Seen(reason=reason)
    picture = read_image(look.path, look.size)
    if not isinstance(picture, Failure):
        return Seen("picture", picture[None], np.zeros((1, look.frames), dtype=np.int64))
    if not is_video(look.path):
        return Seen(reason=f"no video or picture: {picture.reason}")
    video = load_windows(
        look.path,
        frames=look.frames,
        every_seconds=look.cutting.every_seconds,
        overlap=look.cutting.overlap,
        size=look.size,
        sampling=look.cutting.sampling,
        max_windows=MOST_WINDOWS,
        timeout_seconds=look.most_seconds,
        total_seconds=look.most_seconds,
    )
    if isinstance(video, Failure):
        return Seen(reason=video.reason)
    return Seen("video", video.pixels, video.windows)


def _too_large(look: Look) -> str:
    """Why a picture is not even decoded: a small file may hold billions of pixels."""
    try:
        with Image.open(look.path) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        return "the picture has too many pixels"
    except Exception:
        return ""  # no picture: what it is instead is found out later
    if pixels > look.most_pixels:
        return f"the picture has {pixels:,} pixels; at most {look.most_pixels:,} are read"
    return ""


class Uploads:
    """Turns uploaded files into features."""

    def __init__(self, index: Index, limits: Limits) -> None:
        self._index, self._limits = index, limits
        seconds = limits.upload_seconds + GRACE_SECONDS
        self._crew = Workers(decode, workers=1, timeout_seconds=seconds)

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

    def _look(self, path: Path) -> Look:
        model = self._index.retriever
        return Look(
            path,
            frames=model.frames,
            size=model.image_size,
            cutting=self._index.header.cutting,
            most_pixels=self._limits.image_pixels,
            most_seconds=self._limits.upload_seconds,
        )


def _store(file: IO[bytes], path: Path) -> str:
    """Copy it to where a process can read it; the name of its content."""
    file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out)
    with path.open("rb") as made:
        return hashlib.file_digest(made, "sha256").hexdigest()[:32]
