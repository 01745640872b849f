"""A name of system and weights: equal features only under equal fingerprints.

It is of every number of the model and of the settings that differ from their defaults, so that a
setting that comes later changes no name. It is always made of the weights that are in memory: a
stored one could not tell whether the file was damaged since. For a ViT-B/32 (605 MB) that takes
0.36 s of a processor (an AMD EPYC), once, shared by several threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from torch import Tensor, nn

from tempme.backbones.config import ClipConfig
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.systems.system import System

THREADS = 4
# Numbers of every tensor that entered the fingerprints of before.
LEGACY_SAMPLES = 64
# The settings that entered them, all of them, in this order.
LEGACY_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "Full": ("embeddings", "vision_from"),
    "LoRA": ("rank", "alpha", "vision_from"),
    "Prompt": ("tokens", "vision_from"),
    "Adapter": ("width", "scale", "vision_from"),
    "PLEVU": ("prefix", "postfix", "blocks", "heads", "temperature"),
    "VoP": ("visual", "textual", "positional", "contextual", "joint", "vision_from"),
    "DGL": ("local_prompts", "global_prompts", "vision_from"),
    "DGLTransformer": ("local_prompts", "global_prompts", "vision_from"),
    "MVAdapter": ("width", "scale", "tied", "factor", "tie", "vision_from"),
    "RAP": ("rank", "warped", "width", "patches", "vision_from"),
    "Keep": (),
    "ToMe": ("r", "proportional"),
    "EViT": ("keep", "at", "fuse"),
    "DiffRate": ("prune", "merge"),
    "STA": ("r", "at"),
    "TESTA": ("r", "merge_frames", "at", "frames_at", "proportional"),
    "TempMe": (
        "r",
        "joins",
        "keep_cross",
        "keep_intra",
        "proportional",
        "positions",
        "always_place",
        "apart",
    ),
    "MeanPooling": ("unit",),
    "FirstPooling": (),
}


class Prints:
    """What the names of a model are made of, tensor by tensor: they need not be there at once."""

    def __init__(self) -> None:
        self._prints: dict[str, _Print] = {}

    @classmethod
    def of(cls, backbone: nn.Module) -> Prints:
        """Those of a backbone in memory."""
        state, made = backbone.state_dict(), cls()
        with ThreadPoolExecutor(THREADS) as threads:
            made._prints = dict(zip(state, threads.map(_print, state.values()), strict=True))
        return made

    def add(self, name: str, value: Tensor) -> None:
        """Take one more tensor in, by its name in the backbone's state."""
        self._prints[name] = _print(value)

    def fingerprints(self, system: System, tokenizer: AnyTokenizer) -> tuple[str, str]:
        """The fingerprint of the model, and the one it had in an index of format 1."""
        return self.fingerprint(system, tokenizer), self.legacy_fingerprint(system)

    def fingerprint(self, system: System, tokenizer: AnyTokenizer) -> str:
        """As the function of this name."""
        digest = hashlib.sha256()
        for part in (system.tuning, system.compression, system.pooling, system.config):
            digest.update(f"{type(part).__name__}({', '.join(_set(part))})\n".encode())
        digest.update(f"{system.frames} {system.max_words} {tokenizer}\n".encode())
        for name, own in sorted(self._prints.items()):
            digest.update(f"{name} {own.shape} ".encode() + own.digest)
        return f"{system.name}-{digest.hexdigest()[:16]}"

    def legacy_fingerprint(self, system: System) -> str:
        """As the function of this name."""
        methods = (system.tuning, system.compression, system.pooling)
        spelled = [_legacy_spelling(method) for method in methods]
        if not all(spelled) or not isinstance(system.config, ClipConfig):
            return ""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(f"({', '.join(spelled)}, {system.frames})".encode())
        for name, own in sorted(self._prints.items()):
            digest.update(f"{name} {own.shape}".encode() + own.samples)
        return f"{system.name}-{digest.hexdigest()}"


class _Print(NamedTuple):
    """What is told of a tensor: its shape, the SHA-256 of its numbers, and some of them."""

    shape: tuple[int, ...]
    digest: bytes
    samples: bytes


def fingerprints(system: System, backbone: nn.Module, tokenizer: AnyTokenizer) -> tuple[str, str]:
    """The fingerprint of a model, and the one it had in an index of format 1."""
    return Prints.of(backbone).fingerprints(system, tokenizer)


def fingerprint(system: System, backbone: nn.Module, tokenizer: AnyTokenizer) -> str:
    """`<system>-<16 hexadecimal digits>` of all weights, the vocabulary, and set settings."""
    return Prints.of(backbone).fingerprint(system, tokenizer)


def legacy_fingerprint(system: System, backbone: nn.Module) -> str:
    """The fingerprint that this model had in an index of format 1; empty if it had none then."""
    return Prints.of(backbone).legacy_fingerprint(system)


def _print(value: Tensor) -> _Print:
    flat = value.detach().float().cpu().contiguous().reshape(-1)
    stride = max(1, flat.numel() // LEGACY_SAMPLES)
    digest = hashlib.sha256(flat.numpy().view("u1").data).digest()
    return _Print(tuple(value.shape), digest, flat[::stride].numpy().tobytes())


def _set(settings: Any) -> Iterator[str]:
    """`name=value` of every setting that is not its default, by name."""
    for one in sorted(fields(settings), key=lambda each: each.name):
        if not _is_default(settings, one):
            yield f"{one.name}={getattr(settings, one.name)!r}"


def _is_default(settings: Any, one: Field[Any]) -> bool:
    default = one.default if one.default_factory is MISSING else one.default_factory()
    return bool(getattr(settings, one.name) == default)


def _legacy_spelling(settings: Any) -> str:
    """As it was spelled then; empty where something is set that there was not then."""
    known = LEGACY_SETTINGS.get(type(settings).__name__)
    if known is None:
        return ""
    if any(one.name not in known and not _is_default(settings, one) for one in fields(settings)):
        return ""
    values = ", ".join(f"{name}={getattr(settings, name)!r}" for name in known)
    return f"{type(settings).__name__}({values})"
