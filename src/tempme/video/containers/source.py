"""Opening a file: which stream is the video, and why a file cannot be read."""

from __future__ import annotations

import math
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.stream import Discard

from tempme.video.containers.claims import check_claims, check_size
from tempme.video.containers.light import Light
from tempme.video.containers.streams import (
    Choice,
    choose,
    codec_of,
    needs_survey,
    survey,
    usable_streams,
)
from tempme.video.values import AS_USUAL, OutOfTime, Reading, Unreadable

av.logging.set_level(None)

# Containers that FFmpeg reads as video though a person would not call them one: text, text drawn
# as pictures, pictures and icons.
NOT_VIDEO = frozenset(
    {"adf", "ass", "bin", "brender_pix", "cdg", "fits", "ico", "idf", "image2", "lrc", "srt"}
    | {"sup", "tty", "txd", "vobsub", "webvtt", "xbin"}
)
# Lists of other files: never opened, for they would be fetched, for minutes where that fails.
PLAYLISTS = {"hls", "dash", "webm_dash_manifest", "concat", "concatf", "imf", "rtsp", "sdp", "rtp"}
FORMATS = ",".join(sorted(av.formats_available - PLAYLISTS))
# Containers of pictures that may move; the same of the MP4 family by their brands.
ANIMATIONS = frozenset({"apng", "gif", "jpegxl_anim"})
BRANDS_OF_PICTURES = frozenset({b"avif", b"avis", b"crx ", b"heic", b"heim", b"heix", b"mif1"})
OPEN_SECONDS = 30.0
# Containers in whose heads stands how long they are.
STATING = frozenset({"asf", "avi", "flv", "matroska", "mov", "mxf", "nut"})


@dataclass
class Deadline:
    """How long the next frame may take to come, and the whole file.

    `seconds` limits the wait for each frame, so that a slow file that goes on is not given up;
    `total_seconds` ends one that goes on for ever. `elapsed_seconds` counts what happens while a
    deadline is paused as well. `progressed` is called with every frame.
    """

    seconds: float
    progressed: Callable[[], None] = lambda: None
    total_seconds: float = math.inf
    elapsed_seconds: float = math.inf
    _end: float = field(init=False)
    _total_end: float = field(init=False)
    _elapsed_end: float = field(init=False)

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._end, self._total_end = now + self.seconds, now + self.total_seconds
        self._elapsed_end = now + self.elapsed_seconds

    def restart(self) -> None:
        """Wait anew: something has been read."""
        self._end = time.monotonic() + self.seconds
        self.progressed()

    def check(self) -> None:
        """Raise when the time is up."""
        now = time.monotonic()
        if now > self._total_end:
            raise OutOfTime(f"timeout: not done after {self.total_seconds:g} s", self.total_seconds)
        if now > self._elapsed_end:
            elapsed = self.elapsed_seconds
            raise OutOfTime(f"timeout: not done after {elapsed:g} s, encoding included", elapsed)
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
    """An open container and its video stream; raises `Unreadable` with a reason.

    `stream` is the number of the stream to read; without one the video is chosen, and `left_out`
    names the others.
    """

    def __init__(
        self,
        path: Path,
        reading: Reading = AS_USUAL,
        *,
        stream: int | None = None,
    ) -> None:
        check_file(path)
        self.path = path
        self.num_bytes = path.stat().st_size
        self.reading = reading
        check_claims(path, reading)
        self._choice = self._chosen() if stream is None else Choice(stream)
        self._begin()

    @property
    def left_out(self) -> str:
        """What a note says of the video streams that are not read."""
        return self._choice.note

    def reopen(self) -> None:
        """Begin again at the start of the file."""
        self.container.close()
        self._begin()

    def _chosen(self) -> Choice:
        with _open(self.path, self.reading) as container:
            counted = survey(container) if needs_survey(container) else Counter()
            return choose(container, counted)

    def _begin(self) -> None:
        self.container = _open(self.path, self.reading)
        try:
            self.stream = self._stream()
        except BaseException:
            self.container.close()
            raise
        self.light = Light.of(self.stream.codec_context)
        # What the decoder finds may be larger than what the container says.
        self.stream.codec_context.options = _held(self.reading)
        self.stream.codec_context.thread_count = self.reading.threads
        self.stream.codec_context.thread_type = "AUTO" if self.reading.threads > 1 else "NONE"
        for other in self.container.streams:
            if other is not self.stream:
                other.discard = Discard.all

    def _stream(self) -> av.VideoStream:
        stream = next(s for s in usable_streams(self.container) if s.index == self._choice.index)
        check_size(stream.width, stream.height, self.reading)
        return stream

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
    def is_of_pictures(self) -> bool:
        """Whether a single frame in such a container is a picture and no video."""
        with self.path.open("rb") as file:
            brand = file.read(12)[8:12]
        return bool(self.formats & ANIMATIONS) or brand in BRANDS_OF_PICTURES

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
        return codec_of(self.stream)

    @property
    def start_ticks(self) -> int | None:
        """When a player's second 0 is, in ticks of the video; None where nothing tells."""
        start, base = self.container.start_time, self.stream.time_base
        if start is None or base is None:
            return None
        return round(Fraction(start, av.time_base) / base)

    @property
    def stated_ticks(self) -> int | None:
        """How long the container says that it is; None where it does not, or FFmpeg guessed."""
        duration, base = self.container.duration, self.stream.time_base
        if duration is None or base is None or not self.formats & STATING:
            return None
        # Where the head of a Matroska file says nothing, FFmpeg goes by the bit rate of its sound.
        says_nothing = self.stream.duration is not None and "DURATION" not in self.stream.metadata
        if "matroska" in self.formats and says_nothing:
            return None
        return round(Fraction(duration, av.time_base) / base)


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


def _held(reading: Reading) -> dict[str, str]:
    """The decoder's own limit of pixels; what it rounds sizes up by is granted."""
    held = {"max_pixels": str(reading.max_pixels * 5 // 4)}
    if reading.sampling == "fast":  # of H.264 and HEVC; other decoders take no notice
        held["skip_loop_filter"] = "all"
    return held


def _open(path: Path, reading: Reading) -> av.container.InputContainer:
    # By its descriptor a file has no name: what it is, is told by its content alone.
    descriptor = _descriptor(path)
    try:
        container = av.open(
            "fd:",
            container_options={
                "fd": str(descriptor),
                "protocol_whitelist": "fd",
                "format_whitelist": FORMATS,
            },
            options=_held(reading),
            metadata_errors="replace",
            timeout=OPEN_SECONDS,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(_not_a_video(path)) from error
    finally:
        os.close(descriptor)
    names = container.format.name.split(",")
    if any(name in NOT_VIDEO or name.endswith("_pipe") for name in names):
        container.close()
        raise Unreadable(f"not a video ({container.format.long_name})")
    return container


def _descriptor(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"cannot be opened: {_strerror(error)}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("not an ordinary file")
    return descriptor


def _not_a_video(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if not any(head):
        return "not a video: it starts with zeros"
    if b"ftyp" in head[:64] or b"moov" in head or b"mdat" in head:
        return "damaged: the part of the file that says where the frames are is missing"
    return "not a video, or damaged at its start"
