"""Every error a user can meet.

TempmeError
|-- BadSetting            a value that no run could use
|   `-- UnknownName       a system, backbone, tag or data set that is not in its table
|-- BadWeights            a file of weights that is missing, damaged or of another kind
|-- BadVideo              a video that cannot be read
|-- BadDataset            annotations or captions that cannot be used
|-- BadIndex              a folder that is not an index, or is damaged
|   |-- WrongModel        an index made by another model
|   `-- IndexBusy         an index that another run is writing to
|-- WrongAnswer           a model or pipeline that gives a known question the wrong answer
|-- NoNetwork             something has to be fetched or pushed, and cannot be
|-- HubRefused            a hub that does not take what is pushed: no token, or no right to write
|-- MissingExtra          an optional dependency is not installed
`-- Stopped               work that was interrupted, and what it leaves
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TempmeError(Exception):
    """The root: its message says what was given, what is possible, and what to do."""


class BadSetting(TempmeError, ValueError):
    """A value that no run could use."""


class UnknownName(BadSetting):
    """A name that is not in its table."""

    @classmethod
    def among(cls, kind: str, given: str, known: Iterable[str]) -> UnknownName:
        """The error for `given`, with the nearest known name and the whole list."""
        names = list(known)
        near = difflib.get_close_matches(given, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        return cls(f"no {kind} {given!r}{hint} known: {', '.join(names)}")


class BadWeights(TempmeError):
    """A file of weights that is missing, damaged, or of another kind."""


class BadVideo(TempmeError):
    """A video that cannot be read."""


class BadDataset(TempmeError):
    """Annotations or captions that cannot be used."""


class BadIndex(TempmeError):
    """A folder that is not an index, or is damaged."""


class WrongModel(BadIndex):
    """An index made by another model."""


class IndexBusy(BadIndex):
    """An index that another run is writing to: one at a time."""


class WrongAnswer(TempmeError):
    """A model or pipeline that gives a known question the wrong answer."""


class NoNetwork(TempmeError):
    """Something has to be fetched, and cannot be."""


class HubRefused(TempmeError):
    """A hub that does not take what is pushed: no token, or no right to write."""


class MissingExtra(TempmeError):
    """An optional dependency is not installed."""


class Stopped(TempmeError):
    """Work that was interrupted, and what it leaves."""
