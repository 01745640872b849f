"""What a worker makes of a moment to learn from: its frames, and how each copy of them looks.

No torch here: processes that decode start fast.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np

from tempme.datasets.augment import RandAugment
from tempme.datasets.crops import CropFlip, aspect_of
from tempme.datasets.frames import draw_frames, read_moment
from tempme.datasets.pairs import Moment
from tempme.errors import TempmeError, UnknownName
from tempme.video import Failure, Frames, Reading
from tempme.video.values import Pixels

Augment: TypeAlias = RandAugment | CropFlip
# What `augment` may be called; true is the first.
AUGMENTS: Mapping[str, Augment] = MappingProxyType(
    {"rand-augment": RandAugment(), "crop-flip": CropFlip()}
)


def augment_of(wanted: Augment | str | bool) -> Augment | None:
    """What augments, by its name; UnknownName lists them."""
    if isinstance(wanted, str):
        if wanted not in AUGMENTS:
            raise UnknownName.among("data.augment", wanted, tuple(AUGMENTS))
        return AUGMENTS[wanted]
    return AUGMENTS["rand-augment"] if wanted is True else wanted or None


class MomentJob(NamedTuple):
    """A moment to read once, and the seeds of its augmented copies."""

    path: Path
    moment: Moment
    looks: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """What a worker does with a moment."""

    reading: Reading
    augment: Augment | None = None
    draws_frames: bool = False

    def __call__(self, job: MomentJob) -> Pixels | Failure:
        """(K, F, S, S, 3): a copy for every look; plain ones are all alike, so K is 1.

        All looks of a job show the same frames.
        """
        reading, draws = self.reading, tuple[float, ...]()
        if isinstance(self.augment, CropFlip):
            reading = replace(reading, size=self.augment.read_size(reading.size))
        if self.draws_frames:
            draws = draw_frames(random.Random(f"{job.looks[0]} frames"), reading.frames)
        try:
            answer = read_moment(job.path, job.moment, reading, draws=draws)
        except TempmeError:
            raise
        except Exception as error:  # one file must not end a run of days
            return Failure(job.path, f"cannot be decoded: {type(error).__name__}: {error}")
        if isinstance(answer, Failure):
            return answer
        if self.augment is None:
            return answer.pixels[None]
        return np.stack([self._look(answer, random.Random(look)) for look in job.looks])

    def _look(self, read: Frames, rng: random.Random) -> Pixels:
        if isinstance(self.augment, CropFlip):
            aspect = aspect_of(read, self.reading.fit)
            return self.augment(read.pixels, rng, size=self.reading.size, aspect=aspect)
        return read.pixels if self.augment is None else self.augment(read.pixels, rng)
