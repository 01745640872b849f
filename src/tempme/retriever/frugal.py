"""A saved retriever made ready for inference while it is read, a layer at a time.

`Retriever.load(...).for_inference()` holds all weights in fp32 beside those that are packed: with a
ViT-B/32 and PyTorch 1.3 GB. Here the fp32 weights of one layer are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tempme.backbones.clip import Clip
from tempme.backbones.packed import can_pack
from tempme.backbones.vocabularies import load_words
from tempme.engines.choice import TORCH, EngineChoice
from tempme.engines.engine import Engine
from tempme.errors import TempmeError
from tempme.processes.memory import give_back
from tempme.retriever import precision as numbers
from tempme.retriever.checkpoint import described_in
from tempme.retriever.fingerprint import Prints
from tempme.retriever.names import TOKENIZER, WEIGHTS, Saved, look_up, shipped
from tempme.retriever.parts import Parts, undrawn
from tempme.retriever.placing import device_of
from tempme.retriever.retriever import Retriever
from tempme.retriever.running import chosen
from tempme.tuning.full import Full
from tempme.tuning.lora import LoRA
from tempme.untrusted import check_regular
from tempme.weights.on_disk import TensorsOnDisk

MIXED = "bf16-mixed"
# Tunings each of whose layers can be folded by what is in it alone.
BY_LAYER = (Full, LoRA)


@dataclass
class _Expected:
    """A model that is not loaded yet, by the name that it will turn out to have."""

    fingerprint: str
    engine: Engine | None = None


def load_ready(source: str | Path, choice: EngineChoice, *, fingerprint: str) -> Retriever | None:
    """What `Retriever.load(source).for_inference(...)` gives, in less memory.

    fingerprint: the one that the model is expected to have; whether it has is for the caller to
    see. None where the source is no saved retriever that holds all its weights, where another
    engine or device is chosen, and where anything is wrong: loading it as usual says what.
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
        return _read(found.folder, precision, place)
    except (TempmeError, OSError, ValueError, SafetensorError):
        return None
    finally:
        give_back()


def _read(folder: Path, precision: str, place: torch.device) -> Retriever | None:
    described = described_in(folder)
    system = described.system()
    if described.base is not None or precision == MIXED or not isinstance(system.tuning, BY_LAYER):
        return None
    check_regular(folder / WEIGHTS)
    source = TensorsOnDisk(folder / WEIGHTS)
    backbone = undrawn(system)
    state = backbone.state_dict()
    if not isinstance(backbone, Clip) or source.shapes() != _shapes(state):
        return None
    prints = Prints()
    layers = dict(_layers(backbone))
    inside = {name: [n for n in state if n.startswith(f"{name}.")] for name in layers}
    beside = sorted(state.keys() - {n for names in inside.values() for n in names})
    if not _taken(beside, source, state, prints):
        return None
    for module in backbone.modules():  # the largest tensor by far: nothing of it is to be packed
        if isinstance(module, nn.Embedding):
            module.to(numbers.dtype(precision))
    for name, layer in layers.items():
        if not _taken(inside[name], source, state, prints):
            return None
        numbers.freeze(layer, precision, place)
    numbers.freeze(backbone, precision, place)
    tokenizer = load_words(folder / TOKENIZER, system.config)
    parts = Parts(system, backbone, tokenizer, described.origin or str(folder))
    made = Retriever(parts, fingerprints=prints.fingerprints(system, tokenizer))
    made.precision, made.is_folded = precision, True
    return made.eval()


def _taken(
    names: Sequence[str], source: TensorsOnDisk, state: dict[str, Tensor], prints: Prints
) -> bool:
    """Move some weights into the model, out of `state`; False where any is no number."""
    for name in names:
        value = source[name]
        if not bool(torch.isfinite(value).all()):
            return False
        prints.add(name, value)
        with torch.no_grad():
            state.pop(name).copy_(value)  # what is packed would live on in it
    return True


def _layers(backbone: Clip) -> Iterator[tuple[str, nn.Module]]:
    """The layers of both towers by their names."""
    for tower, layers in (("vision", backbone.vision.layers), ("text", backbone.text.layers)):
        for number, layer in enumerate(layers):
            yield f"{tower}.layers.{number}", layer


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
