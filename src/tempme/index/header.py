"""`index.json`: which model made an index, how to load that model again, how videos are cut."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tempme.atomic import replacing
from tempme.errors import BadIndex, BadSetting
from tempme.settings import typed
from tempme.untrusted import MEBIBYTE, read_json
from tempme.video.values import SAMPLING_RULES, Fit, Reading, Sampling

# 2: rows and moments have checksums. An index of format 1 is read, and becomes one of 2 by the
# next run that writes to it.
FORMAT = 2
# As format 2, with a rule of sampling that readers of 2 do not know: they say that it is newer.
# What has no such rule is still written as format 2, and a `Header` of either has that.
RULED_FORMAT = 3
NAME = "index.json"
# What an index has beside it, once anything was written into it.
PARTS = ("moments.lance", "videos.lance")
# The samplings that choose by a rule.
RULED = ("auto", "fast")
# Far beyond any model; a damaged number must not ask for all the memory there is.
MOST_FRAMES, MOST_FEATURES = 4096, 16384


@dataclass(frozen=True)
class Cutting:
    """How a video is cut into windows: one frame per `every_seconds`, windows half overlapping.

    `fit` is what becomes of frames that are not square. An index that says nothing of it was made
    when their centre was all there was. distinct: moments that repeat the one before, nearer than
    this (1 - cosine), are kept out; 0 keeps all. sampling_rule: how the samplings "auto" and "fast"
    choose; an index that says nothing of it keeps the rule it was made by, the first.
    """

    every_seconds: float = 1.0
    overlap: float = 0.5
    sampling: Sampling = "auto"
    fit: Fit = "crop"
    distinct: float = 0.0
    sampling_rule: int = SAMPLING_RULES[-1]

    def __post_init__(self) -> None:
        self.reading()
        if not 0 <= self.distinct < 1:
            raise BadSetting(
                f"distinct is {self.distinct}; it is 1 - cosine of two moments that count as one: "
                f"0 (all are kept) up to below 1, such as 0.02"
            )

    def reading(self, **others: Any) -> Reading:
        """How a video is read to be cut so; `others` are the settings that an index leaves open."""
        return Reading(
            every_seconds=self.every_seconds,
            overlap=self.overlap,
            sampling=self.sampling,
            fit=self.fit,
            sampling_rule=self.sampling_rule,
            **others,
        )

    @property
    def has_rule(self) -> bool:
        """Whether its sampling depends on the rule."""
        return self.sampling in RULED

    def check_same(self, asked: Mapping[str, Any], folder: Path) -> None:
        """BadSetting unless the index in `folder`, cut like this, is cut as `asked`."""
        for name, value in asked.items():
            known = getattr(self, name)
            if value != known:
                raise BadSetting(
                    f"{name} is {value}, but the index {folder} was made with {known}: leave it "
                    "out, or make another index"
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
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name, most in (("frames", MOST_FRAMES), ("features", MOST_FEATURES)):
            if not 1 <= getattr(self, name) <= most:
                raise BadSetting(f"{name} is {getattr(self, name)}; it is from 1 to {most}")

    def write(self, folder: Path) -> None:
        """Write into `folder` so that a reader sees the old header or the new one, never half."""
        fields = {**asdict(self), "written_by": f"tempme {version('tempme')}"}
        is_ruled = self.cutting.has_rule and self.cutting.sampling_rule > 1
        fields["format"] = RULED_FORMAT if is_ruled else FORMAT
        if not self.cutting.distinct:  # which earlier versions do not know
            del fields["cutting"]["distinct"]
        if not is_ruled:  # nor this
            del fields["cutting"]["sampling_rule"]
        text = json.dumps(fields, indent=2)
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
        fields = read_json(folder / NAME, most_bytes=MEBIBYTE)
    except (FileNotFoundError, NotADirectoryError):
        check_not_lost(folder)
        raise BadIndex(
            f"{folder} is not an index; make one with `tempme index PATH --index {folder}`"
        ) from None
    except OSError as error:
        raise _unreadable(folder, (error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise _unreadable(folder, f"it is damaged: {error}") from error
    if not isinstance(fields, dict):
        raise _unreadable(folder, "it holds no JSON object")
    _check_format(folder, fields)
    fields.pop("written_by", None)
    fields["format"] = min(fields["format"], FORMAT)
    cutting = fields.get("cutting")
    if isinstance(cutting, dict) and cutting.get("sampling", "auto") in RULED:
        cutting.setdefault("sampling_rule", SAMPLING_RULES[0])
    try:
        return typed(Header, fields, NAME)
    except BadSetting as error:
        raise _unreadable(folder, str(error)) from error


def check_not_lost(folder: Path) -> None:
    """BadIndex if the folder has the parts of an index, and has lost its header."""
    if any((folder / part).exists() for part in PARTS) and not (folder / NAME).exists():
        raise _unreadable(folder, "it is missing")


def identity(folder: Path) -> str:
    """A word for the header as a file: another one if another index has taken this one's place."""
    try:
        about = (folder / NAME).stat()
    except OSError:
        return "gone"
    return f"{about.st_ino:x}-{about.st_mtime_ns:x}"


def _check_format(folder: Path, fields: dict[str, Any]) -> None:
    found = fields.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise _unreadable(folder, f"its format is {found!r}, which is not a format number")
    if found > RULED_FORMAT:
        writer = _printable(fields.get("written_by", "a newer tempme"))
        raise BadIndex(
            f"the index {folder} has format {found}, written by {writer}; this is tempme "
            f"{version('tempme')}, which reads formats up to {RULED_FORMAT}: upgrade it "
            "(`pip install --upgrade tempme`), or make another index"
        )


def _printable(text: object) -> str:
    return "".join(char for char in str(text)[:40] if char.isprintable())


def _unreadable(folder: Path, why: str) -> BadIndex:
    return BadIndex(
        f"the index {folder} cannot be read: {NAME}: {why}; restore that file from a copy, or "
        "delete the index and index again"
    )
