"""`index.json`: which model made an index, how to load that model again, how videos are cut."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tempme.atomic import replacing
from tempme.errors import BadIndex, BadSetting
from tempme.settings import typed
from tempme.video.values import Fit, Reading, Sampling

FORMAT = 1
NAME = "index.json"


@dataclass(frozen=True)
class Cutting:
    """How a video is cut into windows: one frame per `every_seconds`, windows half overlapping.

    `fit` is what becomes of frames that are no squares. An index that says nothing of it was made
    when their centre was all there was.
    """

    every_seconds: float = 1.0
    overlap: float = 0.5
    sampling: Sampling = "auto"
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        self.reading()

    def reading(self, **others: Any) -> Reading:
        """How a video is read to be cut so; `others` are the settings that an index leaves open."""
        return Reading(
            every_seconds=self.every_seconds,
            overlap=self.overlap,
            sampling=self.sampling,
            fit=self.fit,
            **others,
        )


@dataclass(frozen=True)
class Header:
    """What an index remembers about its model.

    `source` is what `tempme.load` takes; a relative one lies inside the index folder.
    """

    source: str
    fingerprint: str
    frames: int
    features: int
    cutting: Cutting

    def write(self, folder: Path) -> None:
        """Write into `folder` so that a reader sees the old header or the new one, never half."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=2)
        try:
            with replacing(folder / NAME) as draft, draft.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BadIndex(f"cannot write the index {folder}: {error.strerror}") from error


def read_header(folder: Path) -> Header:
    """The header of the index at `folder`; BadIndex if there is none or it is damaged."""
    try:
        fields = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadIndex(
            f"{folder} is no index; make one with `tempme index PATH --index {folder}`"
        ) from None
    except (OSError, ValueError) as error:
        raise BadIndex(f"the index {folder} cannot be read: {NAME}: {error}") from error
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise BadIndex(f"the index {folder} has a format that this version does not know")
    try:
        return typed(Header, fields, NAME)
    except BadSetting as error:
        raise BadIndex(f"the index {folder} cannot be read: {error}") from error
