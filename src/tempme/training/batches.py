"""What a training step is given: batches by number, so that a run can be cut off and go on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from lightning import Trainer
from torch import Tensor

from tempme.retriever.retriever import Retriever
from tempme.scenes import clip
from tempme.scenes.batches import Pool
from tempme.tokens import Shown, Tokens
from tempme.training.begun import begin


class Batch(NamedTuple):
    """Pairs of one step; `frames` is whatever `ContrastiveTask` can encode.

    frames: uint8 (V, F, S, S, 3), or `Begun`. captions: a text per video, or
    ids (V, W). paraphrases: another caption of each video. videos: a number per video, equal for
    two captions of one.
    """

    frames: Any
    captions: Sequence[str] | Tensor
    paraphrases: Sequence[str]
    videos: Sequence[int]


class Batches(Protocol):
    """Batches by number, so that a resumed run sees what an undisturbed one would."""

    def part(self, step: int, rank: int, world: int) -> Batch:
        """The share `rank` of `world` equal shares of the batch of a step, in order."""


class AnyBatches(Protocol):
    """Batches of whatever a task learns from, by number."""

    def part(self, step: int, rank: int, world: int) -> Any:
        """The share of one process."""


class Stream:
    """The batches of a run, from `first` on; Lightning keeps its place in checkpoints."""

    def __init__(self, batches: AnyBatches, steps: int, trainer: Trainer) -> None:
        self.batches, self.steps, self.first = batches, steps, 0
        self.trainer = trainer  # knows which of how many processes this is, once it runs

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for step in range(self.first, self.steps):
            self.first = step + 1
            yield self.batches.part(step, self.trainer.global_rank, self.trainer.world_size)

    def state_dict(self) -> dict[str, int]:
        """The number of the batch to go on with."""
        return {"first": self.first}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was taken."""
        self.first = state["first"]


class Begun(NamedTuple):
    """Tokens of V videos after the frozen layers; C clips of a video, each one frame or several.

    x: (V, C, N, D). size: (V, C, N, 1), None before the first merge. rows, asks: what frames show
    of a clip that holds several (`Shown`), with V first; None where a clip is a frame.
    """

    x_VCND: Tensor
    size_VCN1: Tensor | None = None
    rows_VCFP: Tensor | None = None
    asks_VCN: Tensor | None = None
    hidden_VCFP: Tensor | None = None

    @classmethod
    def of(cls, tokens: Tokens) -> Begun:
        """Those of one video or several."""
        shown = tokens.shown or (None, None, None)
        parts = (tokens.x_CND, tokens.size_CN1, *shown)
        each = (tokens.num_videos, tokens.clips_per_video)
        return cls._make(None if part is None else part.unflatten(0, each).cpu() for part in parts)

    def map(self, change: Callable[[Tensor], Tensor]) -> Begun:
        """The same change of all that is there."""
        return Begun._make(None if part is None else change(part) for part in self)

    def tokens(self, *, num_protected: int = 1) -> Tokens:
        """As the encoder has them; each frame is led by so many class tokens."""
        x, size, rows, asks, hidden = self.map(lambda part: part.flatten(0, 1))
        shown = None if rows is None or asks is None else Shown(rows, asks, hidden)
        led = num_protected * (1 if rows is None else rows.shape[1])
        clips = self.x_VCND.shape[1]
        return Tokens(x.float(), size, clips, num_protected=led, shown=shown)


class BegunBatches:
    """Batches from a pool whose videos have already passed the frozen layers.

    Where frames are compared with each other, a video that runs backwards passes them, too.
    """

    def __init__(self, retriever: Retriever, pool: Pool, *, batch: int, seed: int) -> None:
        self.pool, self.batch, self.seed = pool, batch, seed
        ready = retriever.eval()
        self.flips = ready.backbone.vision.shares_frames
        kept: list[Begun] = []
        self._rows: dict[tuple[int, bool], int] = {}
        for number, scene in enumerate(pool.scenes):
            frames = ready.transform(clip(scene, ready.num_frames, size=ready.image_size))
            ways = (False,) if self.flips or scene.twin is None else (False, True)
            for back in ways:
                self._rows[number, back] = len(kept)
                with torch.autocast(ready.device.type, torch.bfloat16):
                    tokens = begin(ready, _way(frames, back)[None])
                begun = Begun.of(tokens)
                kept.append(begun._replace(x_VCND=begun.x_VCND.to(torch.bfloat16)))
        self.videos = Begun._make(
            None if parts[0] is None else torch.cat(parts) for parts in zip(*kept, strict=True)
        )

    def part(self, step: int, rank: int, world: int) -> Batch:
        """Frames are `Begun`."""
        rng = random.Random(f"{self.seed}/captions/{step}")
        chosen = self.pool.batch(step, self.batch, self.seed)
        pairs = [rng.sample(scene.captions, 2) for _, _, scene in chosen]
        own = share(self.batch, rank, world)
        chosen, pairs = chosen[own], pairs[own]

        def taken(of_all: Tensor) -> Tensor:
            if self.flips:
                return torch.stack([_way(of_all[place], back) for place, back, _ in chosen])
            return of_all[[self._rows[place, back] for place, back, _ in chosen]]

        return Batch(
            frames=self.videos.map(taken),
            captions=[pair[0] for pair in pairs],
            paraphrases=[pair[1] for pair in pairs],
            videos=[2 * place + back for place, back, _ in chosen],
        )


def share(batch: int, rank: int, world: int) -> slice:
    """Where the share of one of `world` processes lies in a batch."""
    each = batch // world
    return slice(rank * each, (rank + 1) * each)


def _way(frames: Tensor, backwards: bool) -> Tensor:
    return frames.flip(0) if backwards else frames
