"""RandAugment (Cubuk et al., 2020) for clips: the same change for all frames.

The official TempMe release trains with timm's `rand-m7-n4-mstd0.5-inc1`, bicubic: four of fifteen
operations are drawn with replacement, each is left out half of the time, and each has a strength
of its own around 7 of 10; rims that a geometric operation uncovers are grey. No crop, no flip.
The release changes whole frames before they are cut to squares, here squares are changed: rims
are nearer, and contrast is that of the square.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tempme.errors import BadSetting
from tempme.video.values import Pixels

STRONGEST = 10.0
FILL = (128, 128, 128)
Picture: TypeAlias = Image.Image


class Operation(NamedTuple):
    """What an operation does to one frame, by an amount that grows with the strength.

    amount: of a strength from 0 to 10. signed: half of the time the amount is negative.
    """

    run: Callable[[Picture, float], Picture]
    amount: Callable[[float], float] = float
    signed: bool = False


class Change(NamedTuple):
    """An operation by its name, and by how much."""

    operation: str
    amount: float


@dataclass(frozen=True)
class RandAugment:
    """Which changes a clip goes through; the defaults are `rand-m7-n4-mstd0.5-inc1`.

    magnitude, deviation: mean and standard deviation of the strength, which is cut to 0 to 10.
    number: operations drawn. probability: of each drawn one to be carried out.
    """

    magnitude: float = 7.0
    deviation: float = 0.5
    number: int = 4
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.magnitude <= STRONGEST:
            raise BadSetting(f"augment.magnitude is {self.magnitude}; it goes from 0 to 10")
        if self.deviation < 0 or self.number < 0:
            raise BadSetting(
                f"augment.deviation is {self.deviation}, number {self.number}; both are 0 or more"
            )
        if not 0 <= self.probability <= 1:
            raise BadSetting(f"augment.probability is {self.probability}; it is a share: 0 to 1")

    def changes(self, rng: random.Random) -> tuple[Change, ...]:
        """Draw the changes of one clip."""
        drawn = rng.choices(tuple(OPERATIONS), k=self.number)
        kept = (name for name in drawn if rng.random() < self.probability)
        return tuple(self._change(name, rng) for name in kept)

    def __call__(self, frames: Pixels, rng: random.Random) -> Pixels:
        """Frames (F, H, W, 3) with one draw of changes, all frames alike."""
        return apply(self.changes(rng), frames)

    def _change(self, name: str, rng: random.Random) -> Change:
        operation = OPERATIONS[name]
        strength = min(STRONGEST, max(0.0, rng.gauss(self.magnitude, self.deviation)))
        amount = operation.amount(strength)
        return Change(name, -amount if operation.signed and rng.random() < 0.5 else amount)


def apply(changes: tuple[Change, ...], frames: Pixels) -> Pixels:
    """Frames (F, H, W, 3) after the changes, in their order."""
    if not changes:
        return frames
    return np.stack([_changed(frame, changes) for frame in frames])


def _changed(frame: Pixels, changes: tuple[Change, ...]) -> Pixels:
    picture = Image.fromarray(frame)
    for name, amount in changes:
        picture = OPERATIONS[name].run(picture, amount)
    return np.asarray(picture)


def _affine(picture: Picture, matrix: tuple[float, float, float, float, float, float]) -> Picture:
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BICUBIC,
        fillcolor=FILL,
    )


def _rotate(picture: Picture, degrees: float) -> Picture:
    return picture.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=FILL)


def _shear_x(picture: Picture, factor: float) -> Picture:
    return _affine(picture, (1, factor, 0, 0, 1, 0))


def _shear_y(picture: Picture, factor: float) -> Picture:
    return _affine(picture, (1, 0, 0, factor, 1, 0))


def _translate_x(picture: Picture, share: float) -> Picture:
    return _affine(picture, (1, 0, share * picture.width, 0, 1, 0))


def _translate_y(picture: Picture, share: float) -> Picture:
    return _affine(picture, (1, 0, 0, 0, 1, share * picture.height))


def _auto_contrast(picture: Picture, _: float) -> Picture:
    return ImageOps.autocontrast(picture)


def _equalize(picture: Picture, _: float) -> Picture:
    return ImageOps.equalize(picture)


def _invert(picture: Picture, _: float) -> Picture:
    return ImageOps.invert(picture)


def _posterize(picture: Picture, bits: float) -> Picture:
    mask = 0xFF << (8 - int(bits))  # Pillow's own refuses 0 bits, where all is black
    return picture.point([i & mask for i in range(256)] * 3)


def _solarize(picture: Picture, threshold: float) -> Picture:
    return ImageOps.solarize(picture, int(threshold))


def _solarize_add(picture: Picture, more: float) -> Picture:
    """Lighten what is darker than 128."""
    table = [min(255, i + int(more)) if i < 128 else i for i in range(256)]
    return picture.point(table * 3)


def _color(picture: Picture, more: float) -> Picture:
    return ImageEnhance.Color(picture).enhance(1 + more)


def _contrast(picture: Picture, more: float) -> Picture:
    return ImageEnhance.Contrast(picture).enhance(1 + more)


def _brightness(picture: Picture, more: float) -> Picture:
    return ImageEnhance.Brightness(picture).enhance(1 + more)


def _sharpness(picture: Picture, more: float) -> Picture:
    return ImageEnhance.Sharpness(picture).enhance(1 + more)


def _up_to(most: float) -> Callable[[float], float]:
    """An amount that grows evenly to `most`."""
    return lambda strength: strength / STRONGEST * most


# The fifteen of timm's increasing variant, in its order.
OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "AutoContrast": Operation(_auto_contrast),
        "Equalize": Operation(_equalize),
        "Invert": Operation(_invert),
        "Rotate": Operation(_rotate, _up_to(30), signed=True),  # degrees
        "Posterize": Operation(_posterize, lambda s: 4 - int(s / STRONGEST * 4)),  # bits kept
        "Solarize": Operation(_solarize, lambda s: 256 - int(s / STRONGEST * 256)),  # threshold
        "SolarizeAdd": Operation(_solarize_add, lambda s: int(s / STRONGEST * 110)),
        "Color": Operation(_color, _up_to(0.9), signed=True),
        "Contrast": Operation(_contrast, _up_to(0.9), signed=True),
        "Brightness": Operation(_brightness, _up_to(0.9), signed=True),
        "Sharpness": Operation(_sharpness, _up_to(0.9), signed=True),
        "ShearX": Operation(_shear_x, _up_to(0.3), signed=True),
        "ShearY": Operation(_shear_y, _up_to(0.3), signed=True),
        "TranslateX": Operation(_translate_x, _up_to(0.45), signed=True),  # of the width
        "TranslateY": Operation(_translate_y, _up_to(0.45), signed=True),  # of the height
    }
)
