"""What watches a run: its history, which checkpoints carry, and its last weights, always saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from tempme.errors import BadSetting
from tempme.training.recipe import Recipe

# The score by which weights are chosen, higher is better, and what else a validation found.
Validation = Callable[[Any], tuple[float, Mapping[str, float]]]
SCORE = "validation"  # the name under which the score is logged


class History(Callback):
    """The loss of every step; it lives in checkpoints, so that a resumed run has all of it.

    A loss stays on its device until `every` of them are there, or somebody asks: to read one is to
    wait for all that the device still has to do.
    """

    def __init__(self, recipe: Recipe, every: int = 1) -> None:
        self.recipe, self.every = recipe, every
        self.validations: list[dict[str, float]] = []
        self._read: list[float] = []
        self._waiting: list[Tensor] = []

    @property
    def losses(self) -> list[float]:
        """The loss of every step so far."""
        if self._waiting:
            self._read += torch.stack(self._waiting).tolist()
            self._waiting.clear()
        return self._read

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Note the loss; BadSetting where one since the last look is no number."""
        self._waiting.append(outputs["loss"].detach().float())
        if len(self._waiting) >= self.every:
            self.check()

    def check(self) -> None:
        """BadSetting, with what to try, unless all losses since the last look are numbers."""
        first = len(self._read)
        for step, loss in enumerate(self.losses[first:], first):
            if not math.isfinite(loss):
                raise BadSetting(f"the loss is {loss} at step {step}: {advice(self.recipe)}")

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"losses": list(self.losses), "validations": list(self.validations)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._read, self._waiting = list(state_dict["losses"]), []
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


class LastWeights(Checkpoint):
    """Saves the run every so many steps, after its last one, and after a validation.

    Weights that are no numbers are never saved: the checkpoint before them stays.
    """

    def __init__(self, path: Path, history: History) -> None:
        self.path, self.recipe, self.history = path, history.recipe, history

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Save where it is time."""
        step = trainer.global_step
        if step % self.recipe.save_every == 0 or step == trainer.max_steps:
            self._save(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """No weights are asked that are no numbers."""
        self._check(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what was found: a run may end here."""
        self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, task: LightningModule) -> None:
        self._check(task)
        trainer.save_checkpoint(self.path, weights_only=False)

    def _check(self, task: LightningModule) -> None:
        self.history.check()
        learnt = [p.detach() for p in task.parameters() if p.requires_grad]
        sums = torch.stack([p.double().sum() for p in learnt])
        if not bool(sums.isfinite().all()):
            raise BadSetting(
                f"weights are no numbers after step {task.global_step}; the checkpoint before "
                f"stays: {advice(self.recipe)}"
            )


def advice(recipe: Recipe) -> str:
    """What to try where numbers grow without end."""
    return (
        f"try a lower recipe.learning_rate than {recipe.learning_rate}, or a longer recipe.warmup"
    )
