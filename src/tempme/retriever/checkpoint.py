"""Saved retrievers: what learnt, and the system that learnt it.

A folder holds `system.toml` (the system, and where the rest of the weights comes from),
`weights.safetensors` and `tokenizer.json`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tempme.atomic import replacing
from tempme.backbones.clip import Clip
from tempme.backbones.config import BACKBONES, ClipConfig
from tempme.backbones.tokenizer import Tokenizer
from tempme.compression import COMPRESSIONS
from tempme.errors import BadSetting, BadWeights, UnknownName
from tempme.pooling import POOLINGS
from tempme.retriever.parts import Backbone, assemble, at_random, from_weights, retriever_of
from tempme.retriever.retriever import Retriever
from tempme.settings import typed
from tempme.systems.table import System, system
from tempme.tuning import TUNINGS
from tempme.weights import published as hub
from tempme.weights.read import read_published, read_weights

SYSTEM, WEIGHTS, TOKENIZER = "system.toml", "weights.safetensors", "tokenizer.json"
FORMAT = 1
SHIPPED = Path(__file__).parent / "models"
DEFAULT_MODEL = "ViT-B/32:openai"


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

    def system(self) -> System:
        """The system that was saved; BadSetting where it cannot be."""
        return System(
            name=self.name,
            tuning=_method(self.tuning, TUNINGS, "tuning"),
            compression=_method(self.compression, COMPRESSIONS, "compression"),
            pooling=_method(self.pooling, POOLINGS, "pooling"),
            backbone=self.backbone
            if isinstance(self.backbone, str)
            else typed(ClipConfig, self.backbone, "backbone"),
            frames=self.frames,
            max_words=self.max_words,
        )


def load(source: str | Path = DEFAULT_MODEL, *, system_name: str = "clip4clip") -> Retriever:
    """A retriever from whatever a person has.

    `source`: a folder of `Retriever.save`, the name of a shipped model (scenes-tiny), a hub id
    of either kind, "BACKBONE:TAG" of published weights, or a file or folder of CLIP weights. Plain
    weights know no system: they get `system_name`, untrained, which is training-free for
    compressions without parameters (tome).
    """
    folder = _saved_folder(source)
    if folder is not None:
        return load_folder(folder)
    backbone, _, tag = str(source).rpartition(":")
    if backbone in BACKBONES:
        return build(system(system_name, backbone=backbone), tag, seed=0)
    return build(system(system_name), source, seed=0)  # the fingerprint must not be drawn


def build(
    made: System,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    *,
    activation: str | None = None,
    tokenizer: Tokenizer | None = None,
    seed: int | None = None,
) -> Retriever:
    """Load, tune, compress: the retriever of a system, untrained.

    weights: a published tag, a file or folder or hub id of CLIP weights, a state dict, a saved or
    shipped retriever (whose backbone is taken, without what was tuned around it), or None.
    activation: overrules the table of known tags. tokenizer: for random weights with few words.
    seed: makes what starts at random repeatable.
    """
    if weights is None:
        return retriever_of(made, at_random(made, tokenizer, seed=seed), seed=seed)
    folder = None if isinstance(weights, Mapping) else _saved_folder(weights)
    if folder is not None:
        return retriever_of(made, _saved_backbone(folder), seed=seed)
    return retriever_of(made, _published(made, weights, activation), seed=seed)


def shipped() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{SYSTEM}")))


def is_saved(source: str | Path) -> bool:
    """Whether `source` names a saved or shipped retriever, which knows its system; else weights."""
    return _saved_folder(source) is not None


def save(retriever: Retriever, folder: Path, *, whole: bool | None, half: bool = False) -> Path:
    """Write the folder; see `Retriever.save`."""
    if retriever.is_folded:
        raise BadSetting("a retriever made for_inference cannot be saved: save the one it is of")
    whole = retriever.base is None if whole is None else whole
    if not whole and retriever.base is None:
        raise BadSetting("only weights on a published base can be saved in part; use whole=True")
    learnt = {name for name, p in retriever.clip.named_parameters() if p.requires_grad}
    state = {
        name: (value.half() if half else value).detach().cpu().contiguous()
        for name, value in retriever.clip.state_dict().items()
        if whole or name in learnt
    }
    # A reader may have the weights before mapped into its memory: they must not change under it.
    with replacing(folder / WEIGHTS) as draft:
        try:
            save_file(state, draft)
        except SafetensorError as reason:  # which is no OSError, whatever it was
            raise OSError(None, str(reason)) from reason
    retriever.tokenizer.save(folder / TOKENIZER)
    described: dict[str, Any] = {"format": FORMAT, "origin": retriever.origin}
    if not whole:
        described["base"] = retriever.base
    described |= to_toml(retriever.system)
    with replacing(folder / SYSTEM) as draft:
        draft.write_text(tomli_w.dumps(described), "utf-8")
    return folder


def load_folder(folder: Path) -> Retriever:
    """The retriever that `save` wrote."""
    try:
        table = tomllib.loads((folder / SYSTEM).read_text("utf-8"))
        state = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as reason:
        raise BadWeights(f"{folder} is no saved retriever: {reason}") from reason
    if table.get("format") != FORMAT:
        raise BadWeights(f"{folder} has format {table.get('format')}; this program reads {FORMAT}")
    described = typed(Described, table, str(folder / SYSTEM))
    made, base = described.system(), described.base
    clip = assemble(made, Clip(made.config)) if base is None else build(made, base).clip
    misfit = _misfit(clip, state, whole=base is None)
    if misfit:
        raise BadWeights(f"{folder / WEIGHTS} does not fit {folder / SYSTEM}: {misfit}")
    broken = next((name for name in sorted(state) if not state[name].isfinite().all()), None)
    if broken is not None:
        raise BadWeights(
            f"{folder / WEIGHTS}: {broken} holds values that are not finite; it is damaged, or its "
            "training went astray"
        )
    clip.load_state_dict({n: v.float() for n, v in state.items()}, strict=False)
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    origin = described.origin or str(folder)
    return Retriever(made, clip, tokenizer, origin=origin, base=base).eval()


def to_toml(made: System) -> dict[str, Any]:
    """A System as TOML tables."""
    backbone = made.backbone
    return {
        "name": made.name,
        "frames": made.frames,
        "max_words": made.max_words,
        "backbone": backbone if isinstance(backbone, str) else asdict(backbone),
        "tuning": _table(made.tuning, TUNINGS),
        "compression": _table(made.compression, COMPRESSIONS),
        "pooling": _table(made.pooling, POOLINGS),
    }


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


def _misfit(clip: Clip, state: Mapping[str, Tensor], *, whole: bool) -> str:
    """Which of the weights do not fit, and how; empty if all do."""
    wanted = clip.state_dict()
    lacking = set(wanted if whole else _learning(clip)) - state.keys()
    if lacking:
        return f"{min(lacking)} is missing"
    for name, value in sorted(state.items()):
        if name not in wanted:
            return f"{name} is unknown"
        if value.shape != wanted[name].shape:
            return f"{name} is {tuple(value.shape)}, not {tuple(wanted[name].shape)}"
    return ""


def _saved_folder(source: str | Path) -> Path | None:
    """The folder of a saved retriever that `source` names, if it names one."""
    path = Path(source)
    if not path.exists() and str(source) in shipped():
        return SHIPPED / str(source)
    if path.is_dir() and (path / SYSTEM).exists():
        return path
    if not path.exists() and hub.is_repository(str(source)):
        return hub.fetch_saved(str(source), (SYSTEM, WEIGHTS, TOKENIZER))
    return None


def _saved_backbone(folder: Path) -> Backbone:
    """The CLIP inside a saved retriever, before it was tuned and compressed."""
    saved = load_folder(folder)
    clip = Clip(saved.clip.config)
    inner = {_plain_name(name): value for name, value in saved.clip.state_dict().items()}
    lacking = clip.state_dict().keys() - inner.keys()
    if lacking:
        raise BadWeights(f"the backbone of {folder} was changed by its tuning: no {min(lacking)}")
    clip.load_state_dict({name: inner[name] for name in clip.state_dict()})
    return Backbone(clip, saved.tokenizer, str(folder))


def _plain_name(name: str) -> str:
    """The name before compression and LoRA were put around a layer."""
    return re.sub(r"^(vision\.layers\.\d+\.)(layer\.)+", r"\1", name).replace(".qkv.base.", ".qkv.")


def _published(
    made: System, weights: str | Path | Mapping[str, Tensor], activation: str | None
) -> Backbone:
    is_tag = isinstance(weights, str) and "/" not in weights and not Path(weights).exists()
    if not is_tag:
        return from_weights(read_weights(weights, activation=activation))
    if not isinstance(made.backbone, str):
        raise BadSetting(f"published weights {weights!r} need a backbone that has a name")
    read = read_published(made.backbone, str(weights), activation=activation)
    return from_weights(read, tag=str(weights))


def _learning(clip: nn.Module) -> set[str]:
    return {name for name, p in clip.named_parameters() if p.requires_grad}
