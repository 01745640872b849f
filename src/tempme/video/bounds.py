"""How much of one file is believed and held: what a hostile file claims costs no more than this."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tempme.errors import BadSetting


@dataclass(frozen=True)
class Bounds:
    """The most of each that one file may ask for; with these, 1 GB of memory is enough.

    `max_pixels` is the size of a frame (8192 x 4096: decoders hold several of them at once),
    `max_frames` how many frames a file may claim (a day at 58 a second; each costs about 100
    bytes), `max_windows` how many windows are made of a video (33 hours at the usual cut): a longer
    one is looked at less often. `elapsed_seconds` limits the time from the first look at a file to
    its last window, with the time that whoever takes the windows needs.
    """

    max_pixels: int = 2**25
    max_frames: int = 5_000_000
    max_windows: int = 20_000
    elapsed_seconds: float = 6 * 3600.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not value > 0:
                raise BadSetting(f"{limit.name} is {value}; it must be positive")
