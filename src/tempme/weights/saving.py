"""A file of tensors, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    state: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write it where nothing is that anybody reads; OSError whatever hinders it."""
    try:
        save_file(dict(state), path, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as reason:  # which is not an OSError, whatever it was
        raise OSError(None, str(reason)) from reason
