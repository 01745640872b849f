"""Which pairs a training step shows, and what stands in for them: numbers alone.

Everything is a function of seed and step, so that a run can be cut off and go on, and any process
can make any share of any step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tempme.datasets.pairs import Split


class PairOrder:
    """The pairs of every step, `batch` at a time; steps count on through the epochs.

    Every pair comes once an epoch, but for the last ones that fill no batch.
    """

    def __init__(self, split: Split, *, batch: int, seed: int) -> None:
        self.split, self.batch, self.seed = split, batch, seed
        self._epochs: dict[int, list[int]] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return len(self.split) // self.batch

    def pairs(self, step: int) -> Sequence[int]:
        """The pairs of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._epoch(epoch)[place * self.batch : (place + 1) * self.batch]

    def substitutes(self, step: int, row: int) -> Iterator[int]:
        """Pairs of other videos, one each, those that the step shows anyway last."""
        targets, captions = self.split.text_targets, self.split.video_targets
        shown = {targets[pair] for pair in self.pairs(step)}
        rng = random.Random(f"{self.seed}/substitute/{step}/{row}")
        drawn = rng.sample(range(len(captions)), len(captions))
        own = targets[self.pairs(step)[row]]
        for moment in sorted(drawn, key=lambda moment: moment in shown):
            if moment != own:
                yield rng.choice(captions[moment])

    def other(self, step: int, row: int, pair: int) -> int:
        """Another pair of the same video; the pair itself where it is the only one."""
        mates = self.split.video_targets[self.split.text_targets[pair]]
        rng = random.Random(f"{self.seed}/other/{step}/{row}")
        return rng.choice([mate for mate in mates if mate != pair] or [pair])

    def look(self, step: int, row: int) -> str:
        """The seed of what augments a row."""
        return f"{self.seed}/look/{step}/{row}"

    def _epoch(self, epoch: int) -> list[int]:
        if epoch not in self._epochs:
            while len(self._epochs) > 1:  # this one and that of the step read ahead
                del self._epochs[next(iter(self._epochs))]
            order = list(range(len(self.split)))
            random.Random(f"{self.seed}/epoch/{epoch}").shuffle(order)
            self._epochs[epoch] = order
        return self._epochs[epoch]
