"""Frames and sound on their way into an MP4 that every browser plays: H.264 and AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from tempme.video.colour import needs_mapping
from tempme.video.containers.source import Source
from tempme.video.containers.timeline import Timeline
from tempme.video.transforms import display_matrix, is_transposed, scaled_rgb, upright

# Constant rate factor and preset of x264: clean at a glance, several times faster than it plays.
QUALITY = {"crf": "23", "preset": "veryfast"}
TICKS = 90_000  # in a second: the clock of MPEG, fine enough for every frame rate
SOUND_RATE = 48_000
KEYFRAME_SECONDS = 2.0
# The colours of a new file, as numbers of ITU-T H.273: a player guesses what is not named.
BT709, UNNAMED = 1, 2
LARGEST_OF_BT601 = 576


def shown_size(frame: av.VideoFrame, pixel_aspect: float) -> tuple[float, float]:
    """Width and height of a frame upright and with square pixels."""
    wide, high = frame.width * pixel_aspect, float(frame.height)
    return (high, wide) if is_transposed(display_matrix(frame)) else (wide, high)


class Pictures:
    """The video stream of a new file; frames come with their times, in order."""

    def __init__(
        self,
        out: av.container.OutputContainer,
        source: Source,
        timeline: Timeline,
        *,
        height: int,
    ) -> None:
        self._out, self._aspect, self._height = out, source.pixel_aspect, height
        rate = min(120.0, max(1.0, source.fps or 25.0))
        # Named by a copy: MP4 needs the stream before the first frame tells its size.
        self._stream = out.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        self._stream.options = {**QUALITY, "g": str(max(1, round(rate * KEYFRAME_SECONDS)))}
        self._stream.pix_fmt = "yuv420p"
        self._stream.width = self._stream.height = 0
        context = self._stream.codec_context
        context.thread_count, context.time_base = 1, Fraction(1, TICKS)
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG.value
        self._begin: float | None = None
        self._waiting: av.VideoFrame | None = None
        del timeline

    def add(self, seconds: float, frame: av.VideoFrame) -> None:
        """Take the frame that is shown from `seconds` on; the first one is the start."""
        if self._begin is None:
            self._begin = seconds
            self._settle_size(frame)
        ready = self._ready(frame)
        ready.pts = round((seconds - self._begin) * TICKS)
        ready.time_base = Fraction(1, TICKS)
        self._write(until=ready.pts)
        self._waiting = ready

    def finish(self, seconds: float) -> None:
        """The last frame is shown until `seconds`."""
        self._write(until=round((seconds - (self._begin or 0.0)) * TICKS))
        self._out.mux(self._stream.encode(None))

    def _write(self, *, until: int) -> None:
        frame, self._waiting = self._waiting, None
        if frame is not None and frame.pts is not None:
            frame.duration = max(1, until - frame.pts)
            self._out.mux(self._stream.encode(frame))

    def _settle_size(self, frame: av.VideoFrame) -> None:
        wide, high = shown_size(frame, self._aspect)
        scale = min(1.0, self._height / min(wide, high))
        self._stream.width = max(2, 2 * round(wide * scale / 2))
        self._stream.height = max(2, 2 * round(high * scale / 2))

    def _ready(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame upright, in the size and colours of the stream."""
        matrix, size = display_matrix(frame), (self._stream.width, self._stream.height)
        across, along = size[::-1] if is_transposed(matrix) else size
        is_upright = matrix[0] >= 0 and matrix[3] >= 0 and not is_transposed(matrix)
        if not is_upright or needs_mapping(frame):
            pixels = upright(scaled_rgb(frame, across, along), matrix)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        return frame.reformat(
            width=size[0],
            height=size[1],
            format="yuv420p",
            src_colorspace=_colours_of(frame),
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )


def _colours_of(frame: av.VideoFrame) -> int:
    """Those that the file names; else what players take a video of this size for."""
    if frame.colorspace != UNNAMED:
        return frame.colorspace
    is_large = frame.height > LARGEST_OF_BT601
    return (Colorspace.ITU709 if is_large else Colorspace.ITU601).value


class Sound:
    """The audio stream of a new file, taken from a source in step with its pictures."""

    def __init__(
        self, out: av.container.OutputContainer, source: av.container.InputContainer, origin: float
    ) -> None:
        self._out, self._source, self._origin = out, source, origin
        self._stream = out.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
        self._frames = self._decoded()
        self._next: av.AudioFrame | None = None
        self._written = 0

    @classmethod
    def of(cls, out: av.container.OutputContainer, path: Path, timeline: Timeline) -> Sound | None:
        """That of the file, or None if it has no sound that can be read."""
        try:
            source = av.open(f"file:{path}", container_options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError):
            return None
        if not source.streams.audio or source.streams.audio[0].codec_context is None:
            source.close()
            return None
        return cls(out, source, float(timeline.origin * timeline.time_base))

    def copy(self, start: float, *, until: float) -> None:
        """Write what sounds from second `start` of the video to `until`; call it in order."""
        if self._next is None and not self._written:
            self._seek(start)
            self._next = next(self._frames, None)
        while self._next is not None and self._second(self._next) < until:
            self._write(self._next, start, until)
            self._next = next(self._frames, None)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._out.mux(self._stream.encode(None))
        self._source.close()

    def _seek(self, start: float) -> None:
        stream = self._source.streams.audio[0]
        if stream.time_base is not None and start > 1.0:
            target = int((start + self._origin - 0.5) / float(stream.time_base))
            try:
                self._source.seek(target, stream=stream)
            except (av.FFmpegError, OSError):
                return

    def _decoded(self) -> Iterator[av.AudioFrame]:
        for packet in self._source.demux(self._source.streams.audio[0]):
            try:
                yield from self._resampled(packet)
            except av.FFmpegError:  # damaged: silence is better than no clip
                continue

    def _resampled(self, packet: av.Packet[av.AudioStream]) -> Iterator[av.AudioFrame]:
        for frame in packet.decode():
            if frame.time is not None:
                second = frame.time
                for piece in self._resampler.resample(frame):
                    piece.pts = round(second * SOUND_RATE)
                    piece.time_base = Fraction(1, SOUND_RATE)
                    second += piece.samples / SOUND_RATE
                    yield piece

    def _second(self, frame: av.AudioFrame) -> float:
        return float((frame.pts or 0) / SOUND_RATE) - self._origin

    def _write(self, frame: av.AudioFrame, start: float, until: float) -> None:
        """The part of a frame that lies within the span, in its place."""
        first = round((self._second(frame) - start) * SOUND_RATE)
        skipped = max(0, self._written - first)
        last = min(frame.samples, round((until - start) * SOUND_RATE) - first)
        if skipped >= last:
            return
        samples = np.ascontiguousarray(frame.to_ndarray()[:, skipped:last], dtype=np.float32)
        part = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        part.sample_rate = SOUND_RATE
        part.pts, part.time_base = first + skipped, Fraction(1, SOUND_RATE)
        self._written = first + last
        self._out.mux(self._stream.encode(part))
