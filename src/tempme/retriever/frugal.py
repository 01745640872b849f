"""A saved retriever made ready for inference while it is read, a layer at a time.

`Retriever.load(...).for_inference()` holds all weights in fp32 beside those that are packed: with a
ViT-B/32 and PyTorch 1.3 GB. Here the fp32 weights of one layer are in memory at a time, and where
only videos or only texts are to be encoded, no others are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tempme.backbones.clip import Clip
from tempme.backbones.packed import can_pack, lay_out
from tempme.backbones.vocabularies import load_words
from tempme.engines.choice import TORCH, EngineChoice
from tempme.engines.engine import Engine
from tempme.errors import TempmeError
from tempme.processes.memory import give_back, large_blocks_apart
from tempme.retriever import precision as numbers
from tempme.retriever.checkpoint import described_in
from tempme.retriever.described import Described
from tempme.retriever.fingerprint import Prints
from tempme.retriever.names import TOKENIZER, WEIGHTS, Saved, look_up, shipped
from tempme.retriever.parts import Parts, undrawn
from tempme.retriever.placing import device_of
from tempme.retriever.retriever import Retriever
from tempme.retriever.running import chosen
from tempme.tuning.full import Full
from tempme.tuning.lora import LoRA
from tempme.untrusted import check_regular
from tempme.weights.fit import is_finite
from tempme.weights.on_disk import TensorsOnDisk

MIXED, CPU = "bf16-mixed", torch.device("cpu")
# Tunings each of whose layers can be folded by what is in it alone.
BY_LAYER = (Full, LoRA)
Side = Literal["vision", "text"]
OTHER: dict[Side, Side] = {"vision": "text", "text": "vision"}


@dataclass
class _Expected:
    """A model that is not loaded yet, by the name that it will turn out to have."""

    fingerprint: str
    engine: Engine | None = None


@dataclass(frozen=True)
class Known:
    """The names that all weights of a file gave, which hold as long as it is what it was."""

    identity: tuple[int, ...]
    fingerprints: tuple[str, str]


def load_ready(source: str | Path, choice: EngineChoice, *, fingerprint: str) -> Retriever | None:
    """What `Retriever.load(source).for_inference(...)` gives, in less memory.

    fingerprint: the one that the model is expected to have; whether it has is for the caller to
    see. None where the source is no saved retriever that holds all its weights, where another
    engine or device is chosen, and where anything is wrong: loading it as usual says what.
    """
    found = load_side(None, source, choice, fingerprint=fingerprint)
    return None if found is None else found[0]


def load_side(
    side: Side | None,
    source: str | Path,
    choice: EngineChoice,
    *,
    fingerprint: str,
    known: Known | None = None,
) -> tuple[Retriever, Known] | None:
    """As `load_ready`, but what encodes videos or texts alone: it cannot encode the others.

    With it come the names of the file's weights; where they are `known`, other weights than those
    of the side are not looked at again.
    """
    is_here = source in shipped() or Path(source).is_dir()
    place = device_of(choice.device)
    if not is_here or not can_pack(place) or not isinstance(found := look_up(source), Saved):
        return None
    wanted = chosen(_Expected(fingerprint), choice)
    if wanted is None or wanted.engine != TORCH:
        return None
    precision = numbers.resolve(wanted.precision, place)
    give_back()  # models are circles: one that was just dropped may still be here
    try:
        with large_blocks_apart():
            return _read(found.folder, _Reading(side, precision, place, known))
    except (TempmeError, OSError, ValueError, SafetensorError):
        return None
    finally:
        give_back()


def side_of(retriever: Retriever, side: Side) -> Retriever:
    """As `retriever.for_inference("fp32")` on the CPU, but what encodes videos or texts alone."""
    other = retriever.backbone.get_submodule(OTHER[side])
    give_back()  # of the side that was made ready before
    with large_blocks_apart():
        backbone = numbers.frozen(retriever.backbone, "fp32", CPU, without=other)
        lay_out(backbone)
    made = Retriever(
        replace(retriever.parts, backbone=backbone), fingerprints=retriever.fingerprints
    )
    made.precision, made.is_folded = "fp32", True
    return made.eval()


@dataclass(frozen=True)
class _Reading:
    """What is read of a folder, and made ready in which precision and where."""

    side: Side | None
    precision: str
    place: torch.device
    known: Known | None


def _read(folder: Path, reading: _Reading) -> tuple[Retriever, Known] | None:
    described, precision = described_in(folder), reading.precision
    system = described.system()
    if precision == MIXED or not isinstance(system.tuning, BY_LAYER):
        return None
    if (whole := whole_clip(folder, described)) is None:
        return None
    source, backbone = whole
    if reading.side is not None:
        _leave_out(OTHER[reading.side], backbone)
    known, prints = reading.known, Prints()
    if known is not None and known.identity != source.identity:
        known = None
    if not _fill(backbone, source, prints if known is None else None, reading):
        return None
    lay_out(backbone)  # while what that lets go is given back
    tokenizer = load_words(folder / TOKENIZER, system.config)
    if known is None:
        known = Known(source.identity, prints.fingerprints(system, tokenizer))
    parts = Parts(system, backbone, tokenizer, described.origin or str(folder))
    made = Retriever(parts, fingerprints=known.fingerprints)
    made.precision, made.is_folded = precision, True
    return made.eval(), known


def whole_clip(folder: Path, described: Described) -> tuple[TensorsOnDisk, Clip] | None:
    """The weights of a saved CLIP, and a backbone without any that they fit; None where they are
    not all in the folder.
    """
    if described.base is not None:
        return None
    check_regular(folder / WEIGHTS)
    source, backbone = TensorsOnDisk(folder / WEIGHTS), undrawn(described.system())
    if not isinstance(backbone, Clip) or source.shapes() != _shapes(backbone.state_dict()):
        return None
    return source, backbone


def _leave_out(side: Side, backbone: Clip) -> None:
    """Leave nothing of one side but its name, so that using it fails."""
    tower = backbone.get_submodule(side).to("meta")
    tower.add_module("layers", nn.ModuleList())  # to fold those of no numbers loads a compiler


def _fill(backbone: Clip, source: TensorsOnDisk, prints: Prints | None, reading: _Reading) -> bool:
    """Read the weights, and make each layer ready as soon as it is there; False as `take_in`.

    prints: what is to know all of them; None looks at those of the backbone alone.
    """
    for module in backbone.modules():  # the largest tensor by far: nothing of it is to be packed
        if isinstance(module, nn.Embedding):
            module.to(numbers.dtype(reading.precision))
    state = {name: value for name, value in backbone.state_dict().items() if not value.is_meta}
    layers = dict(_layers(backbone))
    inside = {name: [n for n in state if n.startswith(f"{name}.")] for name in layers}
    wanted = set(state if prints is None else source)
    if not take_in(sorted(wanted.difference(*inside.values())), source, state, prints):
        return False
    for name, layer in layers.items():
        if not take_in(inside[name], source, state, prints):
            return False
        numbers.freeze(layer, reading.precision, reading.place)
    numbers.freeze(backbone, reading.precision, reading.place)
    return True


def take_in(
    names: Sequence[str], source: TensorsOnDisk, state: dict[str, Tensor], prints: Prints | None
) -> bool:
    """Move some weights into the model, out of `state`; False where any is no number.

    Of names that are not in `state` the weights are looked at, and let go.
    """
    for name in names:
        value = source[name]
        if not is_finite(value):
            return False
        if prints is not None:
            prints.add(name, value)
        if (place := state.pop(name, None)) is not None:  # what is packed would live on in it
            with torch.no_grad():
                place.copy_(value)
    return True


def _layers(backbone: Clip) -> Iterator[tuple[str, nn.Module]]:
    """The layers of both towers by their names."""
    for tower, layers in (("vision", backbone.vision.layers), ("text", backbone.text.layers)):
        for number, layer in enumerate(layers):
            yield f"{tower}.layers.{number}", layer


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
