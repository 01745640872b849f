"""Videos re-encoded for training: few frames a second, short side as the model sees it, no sound.

CLIP4Clip's recipe (3 frames a second, short side 224) makes an epoch several times faster to decode
and a data set some ten times smaller. It can be stopped and started again: a file is either there
and whole, or not there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from tempme.atomic import replacing
from tempme.datasets.pairs import VIDEO_SUFFIXES
from tempme.datasets.places import video_files
from tempme.errors import BadDataset, BadSetting
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Crash, Limits, each_in_processes
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import read_timeline
from tempme.video.decode import Decoder
from tempme.video.loading import reason_of
from tempme.video.transforms import display_matrix, scaled_rgb, upright
from tempme.video.values import Failure, Pixels, Unreadable

RECORD = "prepared.json"


@dataclass(frozen=True)
class VideoEncoding:
    """Frames a second, pixels of the short side (never enlarged), and H.264's quality factor."""

    fps: int = 3
    size: int = 224
    crf: int = 18

    def __post_init__(self) -> None:
        if self.fps < 1 or self.size < 16:
            raise BadSetting(
                f"fps is {self.fps} and size {self.size}; at least 1 frame a second, 16 pixels"
            )
        if not 0 <= self.crf <= 51:
            raise BadSetting(f"crf is {self.crf}; H.264 knows 0 (best) to 51")


@dataclass(frozen=True)
class Preparation:
    """What a run did: files made, found ready, and not to be read with the reason."""

    made: int
    ready: int
    failed: dict[Path, str]
    bytes_before: int
    bytes_after: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON."""
        return asdict(self) | {"failed": {str(p): why for p, why in self.failed.items()}}


@dataclass(frozen=True)
class EncodingJob:
    """One file on its way."""

    source: Path
    target: Path


def prepare(
    videos: Path,
    out: Path,
    *,
    recipe: VideoEncoding | None = None,
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    on_file: Callable[[int, int], None] | None = None,
) -> Preparation:
    """Re-encode every video below `videos` to the same place below `out`, as `.mp4`.

    Files that are there and newer than their source are left alone. `on_file(done, total)` is
    called after each file. A video that makes a process hold more than `worker_memory_mb` is left
    out. Raises if `out` was made by another recipe.
    """
    recipe = recipe or VideoEncoding()
    start = time.perf_counter()
    jobs = _jobs(videos, out)
    _claim(out, recipe)
    waiting = [job for job in jobs if not _is_ready(job)]
    failed: dict[Path, str] = {}
    task = partial(reencode, recipe=recipe)
    limits = Limits(worker_memory_mb=worker_memory_mb)
    answers = each_in_processes(task, waiting, workers=workers, limits=limits)
    for done, (job, answer) in enumerate(answers, 1):
        if isinstance(answer, (Failure, Crash)):
            failed[job.source] = answer.reason
        if on_file is not None:
            on_file(done, len(waiting))
    there = [job for job in jobs if job.target.exists()]
    return Preparation(
        made=len(waiting) - len(failed),
        ready=len(jobs) - len(waiting),
        failed=failed,
        bytes_before=sum(job.source.stat().st_size for job in there),
        bytes_after=sum(job.target.stat().st_size for job in there),
        seconds=round(time.perf_counter() - start, 3),
    )


def reencode(
    job: EncodingJob, *, recipe: VideoEncoding, timeout_seconds: float = 600.0
) -> Path | Failure:
    """Write one file; a crash leaves at most a `.part` behind, which the next run replaces."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    part = job.target.with_name(f".{job.target.name}.part")
    try:
        _write(job.source, part, recipe, Deadline(timeout_seconds))
        part.replace(job.target)
    except Exception as error:
        part.unlink(missing_ok=True)
        return Failure(job.source, reason_of(error))
    return job.target


def _jobs(videos: Path, out: Path) -> list[EncodingJob]:
    """Every video and where it goes; `a.avi` beside `a.mov` become `a.avi.mp4`, `a.mov.mp4`."""
    if not videos.is_dir():
        raise BadDataset(f"{videos} is not a folder; give the one that holds the videos")
    if out.resolve().is_relative_to(videos.resolve()):
        raise BadSetting(f"{out} lies in {videos}; choose a folder outside, or it is read again")
    sources = video_files(videos)
    if not sources:
        raise BadDataset(f"{videos} holds no videos ({', '.join(sorted(VIDEO_SUFFIXES))})")
    names = [source.relative_to(videos) for source in sources]
    plain = [name.with_suffix(".mp4") for name in names]
    return [
        EncodingJob(
            source, out / (one if plain.count(one) == 1 else name.with_name(f"{name.name}.mp4"))
        )
        for source, name, one in zip(sources, names, plain, strict=True)
    ]


def _claim(out: Path, recipe: VideoEncoding) -> None:
    """Note the recipe in the folder, and refuse a folder of another one."""
    out.mkdir(parents=True, exist_ok=True)
    record = out / RECORD
    if not record.exists():
        with replacing(record) as draft:
            draft.write_text(json.dumps(asdict(recipe)) + "\n", encoding="utf-8")
        return
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as reason:
        raise BadDataset(
            f"{record}, which says how the videos beside it were made, is damaged: remove it if "
            f"they were made with {asdict(recipe)}, or choose another folder"
        ) from reason
    if before != asdict(recipe):
        raise BadSetting(
            f"{out} was made with {before}, not {asdict(recipe)}; choose another folder"
        )


def _is_ready(job: EncodingJob) -> bool:
    if not job.target.exists():
        return False
    return job.target.stat().st_mtime_ns >= job.source.stat().st_mtime_ns


def _write(source: Path, part: Path, recipe: VideoEncoding, deadline: Deadline) -> None:
    """Decode the frame shown at each tick of the recipe, and encode it."""
    timeline = read_timeline(source, deadline)
    count = max(1, round(timeline.duration_seconds * recipe.fps))
    targets = [timeline.ticks(i / recipe.fps) for i in range(count)]
    with Source(source) as opened, av.open(str(part), "w", format="mp4") as container:
        decoder = Decoder(opened, timeline, deadline)
        stream: av.VideoStream | None = None
        for number, (_, frame) in enumerate(decoder.frames_at(targets)):
            deadline.check()
            pixels = _small(frame, recipe.size, opened.pixel_aspect)
            stream = stream or _stream(container, recipe, pixels)
            made = av.VideoFrame.from_ndarray(_fitted(pixels, stream), format="rgb24")
            made.pts, made.time_base = number, Fraction(1, recipe.fps)
            container.mux(stream.encode(made))
        if stream is None:
            raise Unreadable("no frame could be decoded")
        container.mux(stream.encode(None))
    _flush(part)


def _stream(
    container: av.container.OutputContainer, recipe: VideoEncoding, first: Pixels
) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=recipe.fps)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, recipe.fps)
    # A keyframe every few seconds keeps reading from the middle cheap; one thread per worker.
    stream.options = {
        "crf": str(recipe.crf),
        "preset": "veryfast",
        "g": str(4 * recipe.fps),
        "threads": "1",
    }
    return stream


def _small(frame: av.VideoFrame, size: int, pixel_aspect: float) -> Pixels:
    """The whole frame upright, short side `size` or less, sides even as 4:2:0 wants them."""
    width, height = frame.width * pixel_aspect, float(frame.height)
    scale = min(1.0, size / min(width, height))
    sides = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    return upright(scaled_rgb(frame, sides[0], sides[1]), display_matrix(frame))


def _fitted(pixels: Pixels, stream: av.VideoStream) -> Pixels:
    """A frame of another size than the first (a stream may change) in the size of the first."""
    if pixels.shape[:2] == (stream.height, stream.width):
        return pixels
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return np.asarray(frame.reformat(width=stream.width, height=stream.height).to_ndarray())


def _flush(path: Path) -> None:
    """The bytes are on the disk before the name is."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
