"""`system.toml`: a system as a TOML file that a person can read, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tempme.backbones.config import ClipConfig
from tempme.backbones.sizes import Sizes
from tempme.backbones.umt.config import UmtConfig
from tempme.compression import COMPRESSIONS
from tempme.errors import BadSetting, UnknownName
from tempme.pooling import POOLINGS
from tempme.settings import typed
from tempme.systems.system import System
from tempme.tuning import TUNINGS
from tempme.video.values import Fit

FORMAT = 1
FAMILY, UMT = "family", "umt"


@dataclass(frozen=True)
class Described:
    """What a `system.toml` holds."""

    name: str
    frames: int
    max_words: int
    backbone: str | Mapping[str, Any]
    tuning: Mapping[str, Any]
    compression: Mapping[str, Any]
    pooling: Mapping[str, Any]
    format: int = FORMAT
    origin: str = ""  # what it was trained by, or loaded from
    base: str | None = None  # the published tag that holds what did not learn
    fit: Fit = "crop"

    def system(self) -> System:
        """The system that was saved; BadSetting where it cannot be."""
        return System(
            name=self.name,
            tuning=_method(self.tuning, TUNINGS, "tuning"),
            compression=_method(self.compression, COMPRESSIONS, "compression"),
            pooling=_method(self.pooling, POOLINGS, "pooling"),
            backbone=_sizes(self.backbone),
            frames=self.frames,
            max_words=self.max_words,
            fit=self.fit,
        )


def to_toml(made: System) -> dict[str, Any]:
    """A System as TOML tables."""
    backbone = made.backbone
    return {
        "name": made.name,
        "frames": made.frames,
        "max_words": made.max_words,
        **({} if made.fit == "crop" else {"fit": made.fit}),  # which earlier versions do not know
        "backbone": backbone if isinstance(backbone, str) else _sized(backbone),
        "tuning": _table(made.tuning, TUNINGS),
        "compression": _table(made.compression, COMPRESSIONS),
        "pooling": _table(made.pooling, POOLINGS),
    }


def _sized(backbone: Sizes) -> dict[str, Any]:
    """The sizes as a table; that of a CLIP, as before there were others, names no family."""
    kind = {FAMILY: UMT} if isinstance(backbone, UmtConfig) else {}
    return kind | {name: size for name, size in asdict(backbone).items() if size is not None}


def _sizes(backbone: str | Mapping[str, Any]) -> str | Sizes:
    if isinstance(backbone, str):
        return backbone
    sizes = {name: size for name, size in backbone.items() if name != FAMILY}
    family = backbone.get(FAMILY)
    if family not in (None, UMT):
        raise BadSetting(f"backbone.{FAMILY} is {family!r}; it is {UMT!r}, or not there: a CLIP")
    if family is None:
        return typed(ClipConfig, sizes, "backbone")
    return typed(UmtConfig, sizes, "backbone")


def _table(value: object, kinds: Mapping[str, type]) -> dict[str, Any]:
    method = next((name for name, kind in kinds.items() if type(value) is kind), None)
    if method is None:
        raise BadSetting(
            f"{type(value).__name__} is in no table, so that nobody could load it: give it a name "
            f"there, as in tempme.compression.COMPRESSIONS['name'] = {type(value).__name__}"
        )
    settings = {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type]
    return {"method": method} | {
        name: {str(k): v for k, v in item.items()} if isinstance(item, Mapping) else item
        for name, item in settings.items()
        if item is not None
    }


def _method(table: Mapping[str, Any], kinds: Mapping[str, type], kind: str) -> Any:
    method, settings = str(table.get("method")), {k: v for k, v in table.items() if k != "method"}
    if method not in kinds:
        raise UnknownName.among(kind, method, kinds)
    return typed(kinds[method], settings, kind)
