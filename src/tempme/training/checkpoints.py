"""Checkpoints of a run: the one before stays until the new one is whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from tempme.atomic import replacing
from tempme.errors import BadWeights


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own files, written where they will lie.

    Lightning writes into the system's folder of temporary files and copies from there, over the
    checkpoint before, where that is another disk: a full disk or a kill would leave neither.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the file; OSError names it."""
        del storage_options
        written = io.BytesIO()
        torch.save(checkpoint, written)  # straight into a file, it hides why that is full
        with replacing(Path(path)) as draft:
            draft.write_bytes(written.getbuffer())

    def load_checkpoint(self, path: Any, *given: Any, **named: Any) -> dict[str, Any]:
        """Read the file; BadWeights where it is none, or not all of one."""
        try:
            read: dict[str, Any] = super().load_checkpoint(path, *given, **named)
        except Exception as reason:
            raise BadWeights(
                f"the run cannot resume from {path}, which is damaged: remove it to start over"
            ) from reason
        return read
