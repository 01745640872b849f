"""The bar of a run: its steps. There are no epochs to count in one stream of batches."""

from __future__ import annotations

from lightning.pytorch.callbacks import RichProgressBar


class Steps(RichProgressBar):
    """Lightning's bar, which speaks of steps; its numbers are asked of the device now and then.

    On stderr: a run's answer is what is on stdout.
    """

    def __init__(self, every: int) -> None:
        super().__init__(refresh_rate=every, console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:  # noqa: ARG002
        return "Step"
