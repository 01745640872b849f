"""A name of system and weights: equal features only under equal fingerprints."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import nn

from tempme.systems.system import System, settings_of

FINGERPRINT_SAMPLES = 64  # numbers of every tensor that enter the fingerprint


def fingerprint(system: System, backbone: nn.Module) -> str:
    """`<system>-<16 hexadecimal digits>` of its settings and of samples of every tensor."""
    digest = hashlib.blake2b(digest_size=8)
    parts = (system.tuning, system.compression, system.pooling)
    digest.update(f"({', '.join(map(_spelled, parts))}, {system.frames})".encode())
    for name, value in sorted(backbone.state_dict().items()):
        flat = value.detach().flatten()
        stride = max(1, flat.numel() // FINGERPRINT_SAMPLES)
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(flat[::stride].float().cpu().numpy().tobytes())
    return f"{system.name}-{digest.hexdigest()}"


def _spelled(settings: Any) -> str:
    """As `repr`, with inherited settings last: where they came when each class had its own."""
    values = ", ".join(f"{f.name}={getattr(settings, f.name)!r}" for f in settings_of(settings))
    return f"{type(settings).__name__}({values})"
