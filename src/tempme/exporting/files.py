"""How exported documents are written: as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tempme.atomic import replacing

# What other programs look for in a file of tensors.
OF_PYTORCH = {"format": "pt"}


def save_json(document: Any, path: Path) -> None:
    """A document, in the order of its keys."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
