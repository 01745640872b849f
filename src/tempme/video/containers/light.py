"""What a container says of the colours of its video, where the codec itself leaves it open."""

from __future__ import annotations

from dataclasses import dataclass

import av

from tempme.video.values import Unreadable

# What ITU-T H.273 calls unspecified, and its matrix of pictures that are RGB.
UNSAID, RGB = 2, 0
BT709, BT2020 = 1, 9
# Matrices that the scaler knows, or whose colours do not go through one.
SCALED = frozenset({RGB, 1, UNSAID, 4, 5, 6, 7, BT2020})
BT2020_OF_CONSTANT_LUMINANCE, OF_PRIMARIES = 10, (12, 13)
# Not a matrix over YCbCr at all: read as one, every colour would be wrong.
OTHER_CODINGS = {
    8: "YCgCo",
    11: "Y'D'zD'x",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}


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
        if frame.colorspace not in SCALED and not frame.format.is_rgb:
            frame.colorspace = _scaled_matrix(frame.colorspace, frame.color_primaries)


def _scaled_matrix(matrix: int, primaries: int) -> int:
    """The matrix to read a frame by that names one which the scaler does not know.

    Numbers that are reserved say nothing, which is how players take them, too. Unreadable for
    colours that are coded in another way than by a matrix.
    """
    if matrix in OTHER_CODINGS:
        name = OTHER_CODINGS[matrix]
        raise Unreadable(f"its colours are coded as {name}, which is not read: convert the video")
    if matrix == BT2020_OF_CONSTANT_LUMINANCE:
        return BT2020
    if matrix in OF_PRIMARIES:
        return BT2020 if primaries == BT2020 else BT709
    return UNSAID
