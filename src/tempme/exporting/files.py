"""How exported files are written: as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tempme.atomic import replacing


def save_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    """A file of tensors; OSError whatever hinders it."""
    try:
        save_file(dict(state), path, metadata={"format": "pt"})
    except SafetensorError as reason:  # which is not an OSError, whatever it was
        raise OSError(None, str(reason)) from reason


def save_json(document: Any, path: Path) -> None:
    """A document, in the order of its keys."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
