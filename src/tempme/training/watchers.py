"""What watches a run: its history, which checkpoints carry, and its best weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer

from tempme.retriever.retriever import Retriever

# The score by which weights are chosen, higher is better, and what else a validation found.
Validation = Callable[[Retriever], tuple[float, Mapping[str, float]]]
SCORE = "validation"  # the name under which the score is logged


class History(Callback):
    """The loss of every step; it lives in checkpoints, so that a resumed run has all of it."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.validations: list[dict[str, float]] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Note the loss."""
        self.losses.append(float(trainer.callback_metrics["loss"]))

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"losses": list(self.losses), "validations": list(self.validations)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.losses = list(state_dict["losses"])
        self.validations = list(state_dict["validations"])

    def curve(self, points: int = 60) -> list[dict[str, float]]:
        """About so many means over equal runs of steps, each at the last of its steps."""
        each = max(1, len(self.losses) // points)
        return [
            {
                "step": first + len(part),
                "loss": round(sum(part) / len(part), 4),
            }
            for first in range(0, len(self.losses), each)
            if (part := self.losses[first : first + each])
        ]
