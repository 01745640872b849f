"""MSVD (Chen and Dolan, ACL 2011): 1,200 / 100 / 670 clips with some 40 captions each.

Files: `{train,val,test}_list.txt` (one id per line) and `raw-captions.pkl`, a pickled dict from id
to captions, each a list of words. A pickle can run any program, so this one is opened by a reader
that makes containers and strings and refuses everything else. Videos: `<id>.avi`.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from tempme.datasets.pairs import Pair, Split
from tempme.datasets.published.annotations import paragraph, read_lines, shaped, unknown_split
from tempme.errors import BadDataset

SPLITS = ("train", "val", "test")
CAPTIONS = "raw-captions.pkl"
# "__builtin__" is what Python 2 wrote.
CONTAINERS = {
    *((module, name) for module in ("builtins", "__builtin__") for name in ("list", "set")),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
}
# What the documentation of pickle says a damaged file may raise.
DAMAGED = (
    *(pickle.UnpicklingError, EOFError, ValueError, LookupError),
    *(TypeError, AttributeError, ImportError),
)


def videos(annotations: Path, split: str) -> tuple[str, ...]:
    """Clip ids of "train", "val" or "test"."""
    if split not in SPLITS:
        raise unknown_split("msvd", split, SPLITS)
    return read_lines(annotations / f"{split}_list.txt")


def read(annotations: Path, split: str) -> Split:
    """Every caption of every clip of "train", "val" or "test"."""
    wanted = videos(annotations, split)
    captions = _captions(annotations / CAPTIONS)
    without = [video for video in wanted if not captions.get(video)]
    if without:
        raise BadDataset(
            f"{CAPTIONS} has no captions of {len(without)} clips of {split}, such as {without[0]};"
            " list and captions are not of one release"
        )
    pairs = (Pair(video, caption) for video in wanted for caption in captions[video])
    return Split(f"msvd/{split}", tuple(pairs))


class _ContainersOnly(pickle.Unpickler):
    """A pickle reader to which no function or class of any module is known."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in CONTAINERS:
            return super().find_class(module, name)
        raise BadDataset(
            f"{CAPTIONS} wants to call {module}.{name}; captions are lists of words, so this file"
            " is not what it says: do not open it with anything else"
        )


def _captions(path: Path) -> dict[str, list[str]]:
    try:
        with path.open("rb") as file:
            raw = _ContainersOnly(file, encoding="utf-8").load()
    except FileNotFoundError as error:
        raise BadDataset(f"{path} is missing; it holds the captions of MSVD") from error
    except DAMAGED as error:
        raise BadDataset(f"{path} is not a pickle ({error}); fetch it again") from error
    captions = shaped(raw, dict[str, list[str | list[str]]], path)
    return {video: [_joined(caption) for caption in told] for video, told in captions.items()}


def _joined(caption: str | list[str]) -> str:
    return paragraph([caption] if isinstance(caption, str) else caption)
