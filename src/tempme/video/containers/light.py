"""What a container says of the colours of its video, where the codec itself leaves it open."""

from __future__ import annotations

from dataclasses import dataclass

import av

# What ITU-T H.273 calls unspecified, and its matrix of pictures that are RGB.
UNSAID, RGB = 2, 0


@dataclass(frozen=True)
class Light:
    """What a container says of the colours of its video (numbers of ITU-T H.273)."""

    transfer: int
    primaries: int
    matrix: int

    @classmethod
    def of(cls, context: av.VideoCodecContext) -> Light:
        """As long as nothing was decoded: a decoder puts its own in the place."""
        return cls(context.color_trc, context.color_primaries, context.colorspace)

    def fill_in(self, frame: av.VideoFrame) -> None:
        """Let a frame say what its codec left open."""
        if frame.color_trc == UNSAID:
            frame.color_trc = self.transfer
        if frame.color_primaries == UNSAID:
            frame.color_primaries = self.primaries
        if frame.colorspace == UNSAID and self.matrix != RGB:
            frame.colorspace = self.matrix
