"""Saved retrievers: what learnt, and the system that learnt it.

A folder holds `system.toml` (the system, and where the rest of the weights comes from),
`weights.safetensors` and `tokenizer.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from torch import Tensor

from tempme.atomic import replacing
from tempme.backbones.backbone import Backbone, made_of, seen_by
from tempme.backbones.config import BACKBONES, DEFAULT_MODEL, ClipConfig
from tempme.backbones.layers import inner_state
from tempme.backbones.sizes import Sizes, backbone_name, family_of, other_sizes
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.vocabularies import AnyTokenizer, load_words
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.described import FORMAT, Described, to_toml
from tempme.retriever.names import (
    SHIPPED,
    SYSTEM,
    TOKENIZER,
    WEIGHTS,
    Saved,
    Tagged,
    is_tag,
    look_up,
    unknown,
)
from tempme.retriever.parts import Parts, Untuned, at_random, from_weights, undrawn, untrained
from tempme.retriever.published_umt import is_umt, umt_of
from tempme.settings import typed
from tempme.systems.system import System
from tempme.systems.table import system
from tempme.untrusted import check_regular, read_toml
from tempme.weights.clip4clip import SEQUENCE_ROW
from tempme.weights.fit import misfit, named
from tempme.weights.on_disk import TensorsOnDisk, take
from tempme.weights.read import read_published, read_weights
from tempme.weights.saving import save_tensors
from tempme.weights.umt_release import read_umt

Weights = str | Path | Mapping[str, Tensor]
CLIPS_OWN, UMTS_OWN = "clip4clip", "umt"  # what plain weights become, if nothing else is asked for


def load(
    source: str | Path = DEFAULT_MODEL,
    *,
    system_name: str = "clip4clip",
    activation: str | None = None,
) -> Parts:
    """The parts of whatever a person has; see `Retriever.load`."""
    found = look_up(source)
    if isinstance(found, Saved):
        return load_folder(found.folder)
    if isinstance(found, Tagged):
        made = system(system_name, backbone=found.backbone)
        return build(made, found.tag, activation=activation, seed=0)
    untuned = _plain(source, activation)
    sizes, row = untuned.backbone.config, _row(system_name, untuned.head)
    if row == CLIPS_OWN and isinstance(sizes, UmtConfig):
        row = UMTS_OWN
    made = system(row, backbone=backbone_name(sizes) or sizes)
    return untrained(made, untuned, seed=0)  # the fingerprint must not be drawn


def build(
    made: System,
    weights: Weights | None,
    *,
    activation: str | None = None,
    tokenizer: AnyTokenizer | None = None,
    seed: int | None = None,
) -> Parts:
    """Load, tune, compress: the parts of a system, untrained; see `Retriever.build`."""
    untuned = _untuned(made, weights, activation, tokenizer, seed)
    _check_sizes(made, untuned)
    return untrained(made, untuned, seed=seed)


def backbone_of(weights: Weights) -> str | Sizes:
    """The backbone that weights are of: its name where it has one, else its sizes.

    BadSetting for a bare tag, which weights of several backbones bear.
    """
    found = None if isinstance(weights, Mapping) else look_up(weights)
    if isinstance(found, Saved):
        sizes: Sizes = system_of(found.folder).config
    elif found is not None and is_tag(weights):
        raise BadSetting(
            f"the weights {weights!r} are of several backbones: say which, by system.backbone, of "
            f"{', '.join(BACKBONES)}"
        )
    else:
        sizes = _config_of(weights)
    return backbone_name(sizes) or sizes


def _config_of(weights: Weights) -> Sizes:
    try:
        return read_weights(weights).config
    except BadWeights:  # most weights are of a CLIP, and files are long to read
        if is_umt(weights):
            return read_umt(weights).config
        raise


def _row(name: str, head: Mapping[str, Tensor]) -> str:
    """The row of weights: CLIP4Clip's with a transformer over frames are what they are."""
    return SEQUENCE_ROW if head and name == CLIPS_OWN else name


def row_of(weights: Weights) -> str:
    """The row that plain weights are of where nobody says: clip4clip, or that of its seqTransf."""
    return CLIPS_OWN if is_umt(weights) else _row(CLIPS_OWN, read_weights(weights).head)


def _untuned(
    made: System,
    weights: Weights | None,
    activation: str | None,
    tokenizer: AnyTokenizer | None,
    seed: int | None,
) -> Untuned:
    if weights is None:
        return at_random(made, tokenizer, seed=seed)
    found = None if isinstance(weights, Mapping) else look_up(weights)
    if isinstance(found, Saved):
        return _saved_backbone(found.folder)
    if isinstance(made.config, UmtConfig):
        return umt_of(weights, made.config, tokenizer)
    # Frames of the system's size; and its activation, where nothing of the weights says theirs.
    wanted: dict[str, Any] = {"activation": activation, "image_size": made.config.image_size}
    otherwise = made.config.activation if isinstance(made.config, ClipConfig) else None
    if isinstance(weights, Mapping):
        return from_weights(read_weights(weights, otherwise=otherwise, **wanted))
    if not is_tag(weights):
        return from_weights(read_weights(weights, otherwise=otherwise, **wanted))
    if not isinstance(made.backbone, str):
        raise BadSetting(f"published weights {weights!r} need a backbone that has a name")
    read = read_published(made.backbone, str(weights), **wanted)
    return from_weights(read, tag=str(weights))


def _check_sizes(made: System, untuned: Untuned) -> None:
    """BadSetting where a system is of another backbone than its weights, which it would become."""
    config, own = untuned.backbone.config, made.config
    if isinstance(config, UmtConfig) and isinstance(own, UmtConfig):
        config = seen_by(config, own)
    differ = other_sizes(own, config)
    if isinstance(made.backbone, ClipConfig) and isinstance(config, ClipConfig):
        differ |= _other_activation(made.backbone, config)
    if not differ:
        return
    told = ", ".join(f"{name} {mine}, not {theirs}" for name, (mine, theirs) in differ.items())
    fitting = backbone_name(config)
    raise BadSetting(
        f"{made.name} is made for {_called(made.backbone)} "
        f"with other sizes than the weights of {untuned.origin} ({told}): make it with backbone="
        f"{repr(fitting) if fitting else 'the sizes of these weights'}, or give other weights"
    )


def _other_activation(one: ClipConfig, other: ClipConfig) -> dict[str, tuple[Any, Any]]:
    if one.activation == other.activation:
        return {}
    return {"activation": (one.activation, other.activation)}


def _called(backbone: str | Sizes) -> str:
    return backbone if isinstance(backbone, str) else f"a {family_of(backbone)}"


def _plain(source: str | Path, activation: str | None) -> Untuned:
    """Weights that come without a system; what is assumed of them is said."""
    if not_there := unknown(source):
        raise BadWeights(not_there)
    try:
        read = read_weights(source, activation=activation)
    except BadWeights:
        if is_umt(source):
            return umt_of(source, None, None)
        raise
    if read.activation_is_assumed:
        logging.getLogger("tempme").warning("%s", read.summary)
    return from_weights(read)


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
        save_tensors(state, draft)
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
    described = described_in(folder)
    try:
        check_regular(folder / WEIGHTS)
        state = TensorsOnDisk(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as reason:
        raise BadWeights(f"{folder} is not a saved retriever: {reason}") from reason
    made, base = described.system(), described.base
    backbone = undrawn(made) if base is None else build(made, base).backbone
    own = backbone.state_dict()
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    if wrong := misfit(shapes, state, needed=None if base is None else _learning(backbone)):
        raise BadWeights(f"{folder / WEIGHTS} does not fit {folder / SYSTEM}: {wrong}")
    take(own, state)
    tokenizer = load_words(folder / TOKENIZER, made.config)
    return Parts(made, backbone, tokenizer, described.origin or str(folder), base)


def system_of(folder: Path) -> System:
    """The system of a folder that `save` wrote; no weight is read."""
    return described_in(folder).system()


def described_in(folder: Path) -> Described:
    """What the folder says of the retriever in it. BadWeights."""
    try:
        table = read_toml(folder / SYSTEM, follow=True)
    except (OSError, ValueError) as reason:
        raise BadWeights(f"{folder} is not a saved retriever: {reason}") from reason
    if table.get("format") != FORMAT:
        raise BadWeights(f"{folder} has format {table.get('format')}; this program reads {FORMAT}")
    return typed(Described, table, str(folder / SYSTEM))


def _saved_backbone(folder: Path) -> Untuned:
    """The backbone inside a saved retriever; refused where something else has learnt around it.

    Shipped models are there to be taken so: what learnt around them is of their own experiment.
    """
    saved = load_folder(folder)
    kept = {value.data_ptr() for value in inner_state(saved.backbone).values()}
    learnt = [n for n, p in saved.backbone.named_parameters() if p.requires_grad and p.numel()]
    beside = [n for n in learnt if saved.backbone.get_parameter(n).data_ptr() not in kept]
    if beside and folder.parent != SHIPPED:
        raise BadWeights(
            f"{folder} is a trained {saved.system.name}: {named(beside)} learnt beside its "
            f"backbone, and would be lost. Go on training it (continue_from in [system] of an "
            f"experiment), or give the weights it began with ({saved.base or saved.origin})"
        )
    return backbone_inside(saved, str(folder))


def backbone_inside(saved: Parts, origin: str) -> Untuned:
    """A copy of the backbone as it was before it was tuned and compressed, without what learnt.

    BadWeights where the tuning changed it.
    """
    backbone, inner = made_of(saved.backbone.config), inner_state(saved.backbone)
    lacking = backbone.state_dict().keys() - inner.keys()
    if lacking:
        raise BadWeights(f"the backbone of {origin} was changed by its tuning: no {min(lacking)}")
    backbone.load_state_dict({name: inner[name] for name in backbone.state_dict()})
    return Untuned(backbone, saved.tokenizer, origin)


def _learning(backbone: Backbone) -> set[str]:
    return {name for name, p in backbone.named_parameters() if p.requires_grad}


@cache
def say_untrained(system: str, origin: str) -> None:
    """Said once: its features may be worse than those of the backbone alone."""
    logging.getLogger("tempme").warning(
        "%s on the weights of %s is untrained: train it (`tempme train`), or load one that is",
        system,
        origin,
    )
