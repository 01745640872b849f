"""Saved retrievers: what learnt, and the system that learnt it.

A folder holds `system.toml` (the system, and where the rest of the weights comes from),
`weights.safetensors` and `tokenizer.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tempme.atomic import replacing
from tempme.backbones.clip import Clip
from tempme.backbones.config import DEFAULT_MODEL
from tempme.backbones.layers import inner_state
from tempme.backbones.tokenizer import Tokenizer
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.described import FORMAT, Described, to_toml
from tempme.retriever.names import (
    SYSTEM,
    TOKENIZER,
    WEIGHTS,
    Saved,
    Tagged,
    is_tag,
    look_up,
)
from tempme.retriever.parts import Parts, Untuned, assembled, at_random, from_weights, untrained
from tempme.settings import typed
from tempme.systems.system import System
from tempme.systems.table import system
from tempme.untrusted import check_regular, read_toml
from tempme.weights.fit import misfit
from tempme.weights.read import read_published, read_weights

Weights = str | Path | Mapping[str, Tensor]


def load(source: str | Path = DEFAULT_MODEL, *, system_name: str = "clip4clip") -> Parts:
    """The parts of whatever a person has; see `Retriever.load`."""
    found = look_up(source)
    if isinstance(found, Saved):
        return load_folder(found.folder)
    if isinstance(found, Tagged):
        made = system(system_name, backbone=found.backbone)
        return build(made, found.tag, seed=0)
    return build(system(system_name), source, seed=0)  # the fingerprint must not be drawn


def build(
    made: System,
    weights: Weights | None,
    *,
    activation: str | None = None,
    tokenizer: Tokenizer | None = None,
    seed: int | None = None,
) -> Parts:
    """Load, tune, compress: the parts of a system, untrained; see `Retriever.build`."""
    untuned = _untuned(made, weights, activation, tokenizer, seed)
    return untrained(made, untuned, seed=seed)


def _untuned(
    made: System,
    weights: Weights | None,
    activation: str | None,
    tokenizer: Tokenizer | None,
    seed: int | None,
) -> Untuned:
    if weights is None:
        return at_random(made, tokenizer, seed=seed)
    if isinstance(weights, Mapping):
        return from_weights(read_weights(weights, activation=activation))
    found = look_up(weights)
    if isinstance(found, Saved):
        return _saved_backbone(found.folder)
    if not is_tag(weights):
        return from_weights(read_weights(weights, activation=activation))
    if not isinstance(made.backbone, str):
        raise BadSetting(f"published weights {weights!r} need a backbone that has a name")
    read = read_published(made.backbone, str(weights), activation=activation)
    return from_weights(read, tag=str(weights))


def save(parts: Parts, folder: Path, *, whole: bool | None, half: bool = False) -> Path:
    """Write the folder; see `Retriever.save`."""
    whole = parts.base is None if whole is None else whole
    if not whole and parts.base is None:
        raise BadSetting("only weights on a published base can be saved in part; use whole=True")
    learnt = _learning(parts.backbone)
    state = {
        name: (value.half() if half else value).detach().cpu().contiguous()
        for name, value in parts.backbone.state_dict().items()
        if whole or name in learnt
    }
    # A reader may have the weights before mapped into its memory: they must not change under it.
    with replacing(folder / WEIGHTS) as draft:
        try:
            save_file(state, draft)
        except SafetensorError as reason:  # which is not an OSError, whatever it was
            raise OSError(None, str(reason)) from reason
    parts.tokenizer.save(folder / TOKENIZER)
    described: dict[str, Any] = {"format": FORMAT, "origin": parts.origin}
    if not whole:
        described["base"] = parts.base
    described |= to_toml(parts.system)
    with replacing(folder / SYSTEM) as draft:
        draft.write_text(tomli_w.dumps(described), "utf-8")
    return folder


def load_folder(folder: Path) -> Parts:
    """The parts that `save` wrote."""
    try:
        table = read_toml(folder / SYSTEM, follow=True)
        check_regular(folder / WEIGHTS)
        state = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as reason:
        raise BadWeights(f"{folder} is not a saved retriever: {reason}") from reason
    if table.get("format") != FORMAT:
        raise BadWeights(f"{folder} has format {table.get('format')}; this program reads {FORMAT}")
    described = typed(Described, table, str(folder / SYSTEM))
    made, base = described.system(), described.base
    backbone = assembled(made, Clip(made.config)) if base is None else build(made, base).backbone
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    needed = None if base is None else _learning(backbone)
    wrong = misfit(shapes, state, needed=needed)
    if wrong:
        raise BadWeights(f"{folder / WEIGHTS} does not fit {folder / SYSTEM}: {wrong}")
    backbone.load_state_dict({n: v.float() for n, v in state.items()}, strict=False)
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    return Parts(made, backbone, tokenizer, described.origin or str(folder), base)


def _saved_backbone(folder: Path) -> Untuned:
    """The backbone inside a saved retriever, before it was tuned and compressed."""
    saved = load_folder(folder)
    backbone = Clip(saved.backbone.config)
    inner = inner_state(saved.backbone)
    lacking = backbone.state_dict().keys() - inner.keys()
    if lacking:
        raise BadWeights(f"the backbone of {folder} was changed by its tuning: no {min(lacking)}")
    backbone.load_state_dict({name: inner[name] for name in backbone.state_dict()})
    return Untuned(backbone, saved.tokenizer, str(folder))


def _learning(backbone: Clip) -> set[str]:
    return {name for name, p in backbone.named_parameters() if p.requires_grad}
