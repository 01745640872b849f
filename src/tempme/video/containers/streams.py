"""Which of a file's streams is the video: by what they hold, not by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import av
from av.stream import Disposition

from tempme.video.values import Unreadable

COVERS = Disposition.attached_pic | Disposition.timed_thumbnails
STILLS = COVERS | Disposition.still_image
# Codecs of pictures: a single one of them beside sound is its cover, whatever the file calls it.
PICTURE_CODECS = frozenset(
    {"bmp", "gif", "jpeg2000", "jpegls", "jpegxl", "mjpeg", "png", "ppm", "tiff", "webp"}
)
# So many packets tell one stream from another.
SURVEY = 5000
# Beyond so many pixels along a side of a square, a larger frame says nothing about which is meant.
LARGE_ENOUGH = 720.0
# Weights and areas less than this apart are a matter of taste, and the file's own choice counts.
ALIKE = 1.5

# So many frames are no cover's.
MOVING = 3

# What reading packets can raise; IndexError is PyAV's when a damaged file grows a stream midway.
READING_ERRORS = (av.FFmpegError, OSError, IndexError)


@dataclass(frozen=True)
class Candidate:
    """A stream that may be the video, and how many frames have been seen of it."""

    index: int
    codec: str
    width: int
    height: int
    num_frames: int
    is_default: bool
    is_still: bool

    @property
    def weight(self) -> float:
        """How much there is to see: frames, and the side of a frame."""
        frames = min(self.num_frames, 1) if self.is_still else self.num_frames
        return frames * min(LARGE_ENOUGH, sqrt(self.width * self.height))

    def named(self) -> str:
        """What a note says of it."""
        frames = "1 frame" if self.num_frames == 1 else f"{self.num_frames} frames"
        if self.num_frames >= SURVEY // 2:
            frames = "many frames"
        return f"stream {self.index} ({self.codec}, {self.width} x {self.height}, {frames})"


@dataclass(frozen=True)
class Choice:
    """The stream that is the video, and what the note says of the others."""

    index: int
    note: str = ""


def needs_survey(container: av.container.InputContainer) -> bool:
    """Whether frames have to be counted to tell which stream is the video."""
    streams = usable_streams(container)
    if len(streams) > 1:
        return any(not stream.frames or codec_of(stream) in PICTURE_CODECS for stream in streams)
    return bool(container.streams.audio) and codec_of(streams[0]) in PICTURE_CODECS


def choose(container: av.container.InputContainer, counted: Counter[int]) -> Choice:
    """The stream with the most to see; `counted` are frames where the container states none."""
    streams = usable_streams(container)
    candidates = [_candidate(stream, counted) for stream in streams]
    if container.streams.audio and all(_is_cover(c) for c in candidates):
        raise Unreadable("no video stream: audio with a cover")
    best = best_of(candidates)
    others = [candidate.named() for candidate in candidates if candidate is not best]
    return Choice(best.index, f"left out: {', '.join(others)}" if others else "")


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Most to see, then largest, then the file's own choice, most frames, the first."""
    heaviest = max(candidate.weight for candidate in candidates)
    rich = [c for c in candidates if c.weight * 2 >= heaviest]
    largest = max(c.width * c.height for c in rich)
    large = [c for c in rich if c.width * c.height * ALIKE >= largest]
    return max(large, key=lambda c: (c.is_default, c.num_frames, -c.index))


def survey(container: av.container.InputContainer) -> Counter[int]:
    """How many packets come of each video stream, up to `SURVEY` of all; uses the container up."""
    counted: Counter[int] = Counter()
    streams = usable_streams(container)
    most = SURVEY if len(streams) > 1 else MOVING
    try:
        for packet in container.demux(streams):
            # An AVI states a frame for each tick, and holds nothing where a cover stays.
            if packet.size:
                counted[packet.stream.index] += 1
            if counted.total() >= most:
                break
    except READING_ERRORS:
        pass
    return counted


def usable_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Video streams that are no covers and have a decoder; raises if there is none."""
    pictures = [s for s in container.streams.video if not s.disposition & COVERS]
    if not pictures:
        audio = bool(container.streams.audio)
        raise Unreadable("no video stream" + (": audio only" if audio else ""))
    usable = [s for s in pictures if s.codec_context is not None]
    if not usable:
        raise Unreadable("no decoder for this kind of video")
    return usable


def codec_of(stream: av.VideoStream) -> str:
    """The codec's common name, whichever decoder handles it."""
    return str(stream.codec_context.codec.canonical_name)


def _candidate(stream: av.VideoStream, counted: Counter[int]) -> Candidate:
    return Candidate(
        index=stream.index,
        codec=codec_of(stream),
        width=stream.width,
        height=stream.height,
        num_frames=_num_frames(stream, counted[stream.index]),
        is_default=bool(stream.disposition & Disposition.default),
        is_still=bool(stream.disposition & STILLS),
    )


def _num_frames(stream: av.VideoStream, counted: int) -> int:
    """As stated; as counted where nothing is stated, or that is a single picture."""
    return counted if counted == 1 else stream.frames or counted


def _is_cover(candidate: Candidate) -> bool:
    return candidate.codec in PICTURE_CODECS and candidate.num_frames == 1
