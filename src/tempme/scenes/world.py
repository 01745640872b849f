"""The words of the world and the things in it: values without pixels.

Times inside a scene are ticks, whole numbers from 0 to `TICKS`, so that a scene and its twin,
which runs backwards, meet exactly the same instants and have exactly the same frames.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Part = Literal["static", "temporal", "lively"]
Split = Literal["train", "val", "test"]
Colour = tuple[int, int, int]

PLAIN_PARTS: tuple[Part, ...] = ("static", "temporal")
"""Things before a plain background: one frame tells; order tells."""
PARTS: tuple[Part, ...] = (*PLAIN_PARTS, "lively")
SPLITS: tuple[Split, ...] = ("train", "val", "test")

COLOURS: dict[str, Colour] = {
    "red": (222, 28, 32),
    "orange": (255, 136, 0),
    "yellow": (255, 228, 20),
    "green": (16, 140, 48),
    "cyan": (20, 214, 222),
    "blue": (32, 64, 224),
    "purple": (138, 36, 190),
    "pink": (255, 126, 196),
    "brown": (118, 68, 28),
    "white": (250, 250, 250),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "moon")
TEXTURES = ("plain", "striped", "dotted")
SIZES = {"small": 0.135, "large": 0.215}
BACKGROUNDS = {
    "gray": "on a gray background",
    "checkered": "on a checkered background",
    "grass": "on grass",
    "sand": "on sand",
    "sky": "in a cloudy sky",
    "night": "on a starry night",
    "sunset": "at sunset",
    "bricks": "on a brick wall",
}

TICKS = 27720
"""Divisible by 1 to 12 and by 63: the sampled instants of 12 and of 64 frames are whole ticks."""


class Thing(NamedTuple):
    """What something looks like."""

    colour: str
    shape: str
    texture: str = "plain"
    size: str = ""

    @property
    def name(self) -> str:
        """What every caption calls it: colour and shape."""
        return f"{self.colour} {self.shape}"

    @property
    def full_name(self) -> str:
        """The name with size and texture."""
        texture = "" if self.texture == "plain" else self.texture
        return " ".join(word for word in (self.size, texture, self.name) if word)


class Pose(NamedTuple):
    """Where a thing is (shares of the picture, y down), its radius, turn in degrees, presence."""

    x: float
    y: float
    radius: float
    degrees: float = 0.0
    shown: float = 1.0


Track = tuple[tuple[float, Pose], ...]
"""Poses at shares of the duration from 0 to 1, ascending; in between they change evenly."""


class Actor(NamedTuple):
    """A thing and what it does."""

    thing: Thing
    track: Track


def plural(name: str) -> str:
    """More than one of it."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


def articles(sentence: str) -> str:
    """`a orange` becomes `an orange`: the only words of the world that begin with a vowel."""
    return f" {sentence}".replace(" a orange", " an orange")[1:]


def home(thing: Thing, background: str) -> Split:
    """The split that owns a combination of colour, shape and background.

    One in ten is held out for test, one in ten for val. Train never shows them; every scene of
    test shows one of its own and none of val's, and the reverse.
    """
    colour = tuple(COLOURS).index(thing.colour)
    row = 3 * SHAPES.index(thing.shape) + 7 * tuple(BACKGROUNDS).index(background)
    return {0: "test", 5: "val"}.get((colour + row) % 10, "train")  # type: ignore[return-value]
