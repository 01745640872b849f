"""What a worker process makes of a video file: a picture, a clip, a copy that browsers play.

A process of its own, because a damaged file may crash or hang a decoder (`tempme.processes`).
Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import av
from PIL import Image

from tempme.atomic import replacing
from tempme.serving.media.encoding import Pictures, Sound, shown_size
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import Timeline, read_timeline
from tempme.video.decode import Decoder
from tempme.video.images import read_picture
from tempme.video.loading import FILE_ERRORS, reason_of
from tempme.video.transforms import display_matrix, is_transposed, scaled_rgb, upright
from tempme.video.values import TOTAL_SECONDS, Failure, Pixels, Unreadable

STALL_SECONDS = 30.0
SHORTEST_SECONDS = 0.05
# What all current browsers play: formats of the container, codecs of pictures and of sound.
PLAYED = {
    "video/mp4": ({"mp4", "mov"}, {"h264", "av1"}, {"aac", "mp3", "mp3float"}),
    "video/webm": ({"webm"}, {"vp8", "vp9", "av1"}, {"opus", "libopus", "vorbis", "libvorbis"}),
}
PLAIN_COLOURS = ("yuv420p", "yuvj420p")


@dataclass(frozen=True)
class Still:
    """Make a JPEG of the frame at `seconds`, at most `width` wide; None: the file is a picture."""

    source: Path
    seconds: float | None
    width: int
    target: Path


@dataclass(frozen=True)
class Excerpt:
    """Make an MP4 of a span, re-encoded so that it begins and ends at exact times.

    At most `height` high. `end_seconds` None is the end of the file. `growing`: encode into this
    file first, which can be played while it grows.
    """

    source: Path
    start_seconds: float
    end_seconds: float | None
    height: int
    target: Path
    has_sound: bool = True
    growing: Path | None = None


@dataclass(frozen=True)
class Playability:
    """Tell whether browsers play the file as it is."""

    source: Path


@dataclass(frozen=True)
class Made:
    """What came of an order: `reason` why it failed; `type` of a file that browsers play."""

    reason: str = ""
    type: str = ""


Order: TypeAlias = Still | Excerpt | Playability


def make(order: Order) -> Made:
    """Do the order in this process."""
    try:
        if isinstance(order, Playability):
            return Made(type=_type(order.source))
        with replacing(order.target) as draft:
            if isinstance(order, Still):
                _picture(order, draft)
            else:
                _clip(order, draft)
    except FILE_ERRORS as error:
        return Made(reason=reason_of(error))
    return Made()


def _type(path: Path) -> str:
    """The media type by which browsers play the file; "" if some of them do not."""
    with Source(path) as source:
        context = source.stream.codec_context
        sounds = {s.codec_context.name for s in source.container.streams.audio if s.codec_context}
        if context.pix_fmt not in PLAIN_COLOURS:
            return ""
        for type_, (formats, pictures, allowed) in PLAYED.items():
            if (
                formats & source.formats
                and source.codec_name in pictures
                and sounds <= allowed
                and _is_named(path, type_)
            ):
                return type_
    return ""


def _is_named(path: Path, type_: str) -> bool:
    """WebM and Matroska are one format to FFmpeg; what a WebM may hold, only its head tells."""
    if type_ != "video/webm":
        return True
    with path.open("rb") as file:
        return b"webm" in file.read(64)


def _picture(order: Still, draft: Path) -> None:
    image = _still(order) if order.seconds is None else _frame(order, order.seconds)
    image.save(draft, "JPEG", quality=82, optimize=True)


def _still(order: Still) -> Image.Image:
    picture = read_picture(order.source, order.width)
    if isinstance(picture, Failure):
        raise Unreadable(picture.reason)
    return picture


def _frame(order: Still, seconds: float) -> Image.Image:
    deadline = Deadline(STALL_SECONDS)
    timeline = read_timeline(order.source, deadline)
    with Source(order.source) as source:
        decoder = Decoder(source, timeline, deadline)
        target = timeline.ticks(seconds)
        for _, frame in decoder.frames_at([target]):
            return Image.fromarray(_shown(frame, source.pixel_aspect, order.width))
    raise OSError(0, "no frame could be decoded")


def _shown(frame: av.VideoFrame, pixel_aspect: float, width: int) -> Pixels:
    """A frame as a person sees it, upright, at most `width` wide and twice that high."""
    matrix = display_matrix(frame)
    wide, high = shown_size(frame, pixel_aspect)
    scale = min(1.0, width / wide, 2 * width / high)
    size = max(2, round(wide * scale)), max(2, round(high * scale))
    across, along = size[::-1] if is_transposed(matrix) else size
    return upright(scaled_rgb(frame, across, along), matrix)


def _clip(order: Excerpt, draft: Path) -> None:
    target = order.growing or draft
    deadline = Deadline(STALL_SECONDS, total_seconds=TOTAL_SECONDS)
    timeline = read_timeline(order.source, deadline)
    span = _span(order, timeline)
    with Source(order.source) as source, _mp4(target, is_growing=order.growing is not None) as out:
        video = Pictures(out, source, timeline, height=order.height)
        sound = Sound.of(out, order.source, timeline) if order.has_sound else None
        for time, frame in Decoder(source, timeline, deadline).frames_at(_times(timeline, span)):
            deadline.restart()
            video.add(timeline.seconds(max(time, span[0])), frame)
            if sound is not None:
                sound.copy(timeline.seconds(span[0]), until=timeline.seconds(time))
        video.finish(timeline.seconds(span[1]))
        if sound is not None:
            sound.copy(timeline.seconds(span[0]), until=timeline.seconds(span[1]))
            sound.finish()
    if order.growing is not None:
        _rewrap(order.growing, draft)
        order.growing.unlink()


def _mp4(target: Path, *, is_growing: bool) -> av.container.OutputContainer:
    flags = "frag_keyframe+empty_moov+default_base_moof" if is_growing else "faststart"
    return av.open(str(target), "w", format="mp4", options={"movflags": flags})


def _span(order: Excerpt, timeline: Timeline) -> tuple[int, int]:
    """From and to in ticks, within the video and not empty."""
    whole = timeline.duration_seconds
    end = whole if order.end_seconds is None else min(order.end_seconds, whole)
    start = min(max(0.0, order.start_seconds), max(0.0, end - SHORTEST_SECONDS))
    return timeline.ticks(start), timeline.ticks(end)


def _times(timeline: Timeline, span: tuple[int, int]) -> list[int]:
    """The start, which shows the frame there, and every later frame that begins before the end."""
    return [span[0], *(time for time in timeline.shown if span[0] < time < span[1])]


def _rewrap(growing: Path, draft: Path) -> None:
    """The same packets with the table of frames at the front, where a seek finds it at once."""
    with av.open(str(growing)) as source, _mp4(draft, is_growing=False) as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
