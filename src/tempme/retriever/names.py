"""What a person calls a model: one text or path, looked at in one place.

In this order: a folder of `Retriever.save`, a shipped model, a saved retriever on a hub, the
`BACKBONE:TAG` of published weights, and else a file, folder or hub id of weights.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from tempme.backbones.config import BACKBONES, DEFAULT_MODEL
from tempme.errors import BadSetting
from tempme.weights import published

SYSTEM, WEIGHTS, TOKENIZER = "system.toml", "weights.safetensors", "tokenizer.json"
SHIPPED = Path(__file__).parents[1] / "models"
FILES = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")  # what no tag ends in


@dataclass(frozen=True)
class Saved:
    """A folder that `Retriever.save` wrote."""

    folder: Path


@dataclass(frozen=True)
class Tagged:
    """Published weights: a backbone of the table, and the tag of one set of weights for it."""

    backbone: str
    tag: str


@dataclass(frozen=True)
class Plain:
    """A file, a folder or a hub id of weights that know no system."""

    source: str | Path


def look_up(source: str | Path) -> Saved | Tagged | Plain:
    """What `source` names. Nothing but a hub's cache, and then the hub, is asked beyond this disk.

    BadSetting where it is neither text nor a path.
    """
    if not isinstance(source, str | Path):
        raise BadSetting(
            f"a model is named by a text or a path, not by {type(source).__name__}: give a folder "
            f"that Retriever.save wrote, a shipped model ({', '.join(shipped())}), BACKBONE:TAG "
            f"such as {DEFAULT_MODEL}, a file or folder of CLIP weights, or a hub id"
        )
    folder = _saved_folder(source)
    if folder is not None:
        return Saved(folder)
    backbone, _, tag = str(source).rpartition(":")
    return Tagged(backbone, tag) if backbone in BACKBONES else Plain(source)


def unknown(source: str | Path) -> str:
    """What to say of a model of which there is no file, folder or name; empty where there is."""
    if Path(source).exists() or published.is_repository(str(source)):
        return ""
    near = difflib.get_close_matches(str(source), [*shipped(), DEFAULT_MODEL], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return (
        f"no model {str(source)!r}: there is no such file or folder, and it is no shipped model "
        f"({', '.join(shipped())}){hint}; published weights are named BACKBONE:TAG, such as "
        f"{DEFAULT_MODEL}, and a hub id is owner/name"
    )


def shipped() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{SYSTEM}")))


def is_saved(source: str | Path) -> bool:
    """Whether `source` names a saved or shipped retriever, which knows its system; else weights."""
    return isinstance(look_up(source), Saved)


def is_tag(weights: object) -> bool:
    """Whether `weights` is a bare tag of published weights, such as "openai"."""
    if not isinstance(weights, str) or "/" in weights or Path(weights).exists():
        return False
    return Path(weights).suffix not in FILES


def _saved_folder(source: str | Path) -> Path | None:
    """The folder of a saved retriever that `source` names, if it names one."""
    path = Path(source)
    if path.exists():
        return path if path.is_dir() and (path / SYSTEM).exists() else None
    if str(source) in shipped():
        return SHIPPED / str(source)
    if published.is_repository(str(source)):
        return published.fetch_saved(str(source), (SYSTEM, WEIGHTS, TOKENIZER))
    return None
