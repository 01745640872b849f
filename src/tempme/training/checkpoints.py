"""Checkpoints of a run: the one before stays until the new one is whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from tempme.atomic import replacing
from tempme.errors import BadSetting, BadWeights

CHECKPOINT, BEST = "last.ckpt", "best.ckpt"  # of a run's folder
_DAMAGED = "the run cannot go on from {}, which is damaged: remove it to start anew"
_RETRIEVER = "retriever."  # what a task calls the model that it trains


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
            raise BadWeights(_DAMAGED.format(path)) from reason
        return read


def weights_of(path: Path) -> dict[str, Tensor]:
    """The weights of the retriever in a checkpoint: of a run that averages, the running mean.

    BadWeights where the file is no checkpoint of `tempme train`, or not all of one.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
        found = {str(name): value for name, value in state.items()}
    except Exception as reason:  # what a damaged file raises is anyone's guess
        raise BadWeights(
            f"{path} is no checkpoint of `tempme train`, or is damaged: give last.ckpt or "
            f"best.ckpt of a run's folder"
        ) from reason
    return {
        name.removeprefix(_RETRIEVER): value
        for name, value in found.items()
        if name.startswith(_RETRIEVER)
    }


def check_steps(path: Path, steps: int) -> None:
    """BadSetting where a run has more steps behind it than are asked for; BadWeights as above."""
    try:
        done = int(
            torch.load(path, weights_only=True, map_location="cpu", mmap=True)["global_step"]
        )
    except Exception as reason:
        raise BadWeights(_DAMAGED.format(path)) from reason
    if done > steps:
        raise BadSetting(
            f"the run has {done} steps behind it, but recipe.steps are {steps}: ask for {done} or "
            f"more, or give another folder"
        )
