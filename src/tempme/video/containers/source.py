"""Opening a file: which stream is the video, and why a file cannot be read."""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import av
from av.stream import Discard

from tempme.video.values import OutOfTime, Unreadable

av.logging.set_level(None)

# Containers that FFmpeg reads as video though a person would not call them one.
NOT_VIDEO = ("image2", "tty", "lrc", "srt", "ass", "webvtt")
# Lists of other files: never opened, for they would be fetched, for minutes where that fails.
PLAYLISTS = {"hls", "dash", "webm_dash_manifest", "concat", "concatf", "imf", "rtsp", "sdp", "rtp"}
FORMATS = ",".join(sorted(av.formats_available - PLAYLISTS))
OPEN_SECONDS = 30.0
MOST_PIXELS = 2**27
# What reading packets can raise; IndexError is PyAV's when a damaged file grows a stream midway.
READING_ERRORS = (av.FFmpegError, OSError, IndexError)


@dataclass
class Deadline:
    """How long the next frame may take to come, and the whole file.

    `seconds` limits the wait for each frame, so that a slow file that goes on is not given up;
    `total_seconds` ends one that goes on for ever. `progressed` is called with every frame.
    """

    seconds: float
    progressed: Callable[[], None] = lambda: None
    total_seconds: float = math.inf
    _end: float = field(init=False)
    _total_end: float = field(init=False)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._end, self._total_end = now + self.seconds, now + self.total_seconds

    def restart(self) -> None:
        """Wait anew: something has been read."""
        self._end = time.monotonic() + self.seconds
        self.progressed()

    def check(self) -> None:
        """Raise when the time is up."""
        now = time.monotonic()
        if now > self._total_end:
            raise OutOfTime(f"timeout: not done after {self.total_seconds:g} s")
        if now > self._end:
            raise Unreadable(f"timeout: nothing came for {self.seconds:g} s")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens within is not the file's doing: its time does not count."""
        begin = time.monotonic()
        yield
        self._total_end += time.monotonic() - begin
        self.restart()


class Source(AbstractContextManager["Source"]):
    """An open container and its video stream; raises `Unreadable` with a reason."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        check_file(path)
        self.path = path
        self._threads = threads
        self._begin()

    def reopen(self) -> None:
        """Begin again at the start of the file."""
        self.container.close()
        self._begin()

    def _begin(self) -> None:
        self.container = _open(self.path)
        try:
            self.stream = _video_stream(self.container)
        except BaseException:
            self.container.close()
            raise
        self.stream.codec_context.thread_count = self._threads
        self.stream.codec_context.thread_type = "AUTO" if self._threads > 1 else "NONE"
        for other in self.container.streams:
            if other is not self.stream:
                other.discard = Discard.all

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    @property
    def formats(self) -> set[str]:
        """The short names of the container's format: one demuxer may go by several."""
        return set(self.container.format.name.split(","))

    @property
    def lists_every_frame(self) -> bool:
        """Whether the index of the container names each frame."""
        return "mov" in self.formats

    @property
    def pixel_aspect(self) -> float:
        """Width of a stored pixel over its height."""
        ratio = self.stream.sample_aspect_ratio
        return float(ratio) if ratio and 0.05 < ratio < 20 else 1.0

    @property
    def fps(self) -> float:
        """Frames a second on average, as the container states it; 0.0 where it does not."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate else 0.0

    @property
    def frame_ticks(self) -> int:
        """How long a frame stays on average, in ticks; 25 a second where nothing is stated."""
        base = self.stream.time_base
        return max(1, round(1 / (self.fps or 25.0) / base)) if base else 1

    @property
    def codec_name(self) -> str:
        """The codec's common name, whichever decoder handles it."""
        return str(self.stream.codec_context.codec.canonical_name)


def check_file(path: Path) -> None:
    """Raise `Unreadable` unless `path` is a file with something in it that may be read."""
    try:
        about = path.stat()
    except FileNotFoundError as error:
        raise Unreadable("no such file") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be opened: {_strerror(error)}") from error
    if stat.S_ISDIR(about.st_mode):
        raise Unreadable("a folder, not a file")
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable("not an ordinary file")
    if about.st_size == 0:
        raise Unreadable("empty file")
    if not os.access(path, os.R_OK):
        raise Unreadable("permission denied")


def _strerror(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _open(path: Path) -> av.container.InputContainer:
    # "file:" keeps a name such as "concat:a" a name.
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(
            f"file:{path}",
            container_options=options,
            metadata_errors="replace",
            timeout=OPEN_SECONDS,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(_not_a_video(path)) from error
    names = container.format.name.split(",")
    if any(name in NOT_VIDEO or name.endswith("_pipe") for name in names):
        container.close()
        raise Unreadable(f"not a video ({container.format.long_name})")
    return container


def _not_a_video(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if not any(head):
        return "not a video: it starts with zeros"
    if b"ftyp" in head[:64] or b"moov" in head or b"mdat" in head:
        return "damaged: the part of the file that says where the frames are is missing"
    return "not a video, or damaged at its start"


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    pictures = [s for s in container.streams.video if not _is_cover(s)]
    if not pictures:
        audio = bool(container.streams.audio)
        raise Unreadable("no video stream" + (": audio only" if audio else ""))
    usable = [s for s in pictures if s.codec_context is not None]
    if not usable:
        raise Unreadable("no decoder for this kind of video")
    stream = max(usable, key=lambda s: bool(s.disposition & av.stream.Disposition.default))
    if stream.width * stream.height > MOST_PIXELS:
        raise Unreadable(f"frames of {stream.width} x {stream.height} are too large")
    return stream


def _is_cover(stream: av.VideoStream) -> bool:
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return bool(stream.disposition & cover)
