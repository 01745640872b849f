"""Random crops and mirror images of clips, the same for all frames: what UMT trains with.

UMT's recipe (Li et al., 2023) takes a box of half to all of the picture, of a shape from 3:4 to
4:3, resizes it to the square of the model, and mirrors it half of the time.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image

from tempme.errors import BadSetting
from tempme.video.values import Frames, Pixels

# Shares of width and height: left, top, right, bottom.
Box: TypeAlias = tuple[float, float, float, float]
# Draws of a box that have to fit into the picture before a middle one is taken.
TRIES = 10


@dataclass(frozen=True)
class CropFlip:
    """Which part of a clip is seen, and whether mirrored.

    smallest, largest: share of the area. narrowest: width over height of the narrowest box; the
    widest is its inverse. flip: probability of a mirror image.
    """

    smallest: float = 0.5
    largest: float = 1.0
    narrowest: float = 0.75
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest <= 1:
            raise BadSetting(
                f"augment.smallest is {self.smallest}, largest {self.largest}; they are shares of "
                "the area: above 0, up to 1, in this order"
            )
        if not 0 < self.narrowest <= 1:
            raise BadSetting(f"augment.narrowest is {self.narrowest}; it is above 0, up to 1")
        if not 0 <= self.flip <= 1:
            raise BadSetting(f"augment.flip is {self.flip}; it is a share: 0 to 1")

    def read_size(self, size: int) -> int:
        """The side of the squares to read so that the smallest box still has `size` pixels."""
        return math.ceil(size / math.sqrt(self.smallest))

    def box(self, rng: random.Random, aspect: float) -> Box:
        """A box of a picture that is `aspect` times as wide as high."""
        for _ in range(TRIES):
            area = rng.uniform(self.smallest, self.largest)
            shape = math.exp(rng.uniform(math.log(self.narrowest), -math.log(self.narrowest)))
            width, height = math.sqrt(area * shape / aspect), math.sqrt(area / shape * aspect)
            if width <= 1 and height <= 1:
                left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
                return left, top, left + width, top + height
        shape = min(max(aspect, self.narrowest), 1 / self.narrowest)
        width, height = min(1.0, shape / aspect), min(1.0, aspect / shape)
        return (1 - width) / 2, (1 - height) / 2, (1 + width) / 2, (1 + height) / 2

    def __call__(self, frames: Pixels, rng: random.Random, *, size: int, aspect: float) -> Pixels:
        """Frames (F, H, W, 3) -> (F, size, size, 3).

        They are squares already; the video is `aspect` times as wide as high.
        """
        left, top, right, bottom = self.box(rng, aspect)
        high, wide = frames.shape[1:3]
        box = left * wide, top * high, right * wide, bottom * high
        is_mirrored = rng.random() < self.flip
        made = np.stack([_resized(frame, size, box) for frame in frames])
        return np.ascontiguousarray(made[:, :, ::-1]) if is_mirrored else made


def aspect_of(read: Frames, fit: str) -> float:
    """Width over height of what the squares show, which only squashing keeps whole."""
    return read.info.width / read.info.height if fit == "squash" else 1.0


def _resized(frame: Pixels, size: int, box: Box) -> Pixels:
    picture = Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(picture, dtype=np.uint8)
