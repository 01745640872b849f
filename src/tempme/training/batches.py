"""What a training step is given: batches by number, so that a run can be cut off and go on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from lightning import Trainer
from torch import Tensor

from tempme.retriever.retriever import Retriever
from tempme.scenes import clip
from tempme.scenes.batches import Pool
from tempme.tokens import Tokens
from tempme.training.begun import begin


class Batch(NamedTuple):
    """Pairs of one step; `frames` is whatever `ContrastiveTask` can encode.

    frames: uint8 (V, F, S, S, 3), or tokens of `BegunBatches`. captions: a text per video, or
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


class BegunBatches:
    """Batches from a pool whose videos have already passed the frozen layers."""

    def __init__(self, retriever: Retriever, pool: Pool, *, batch: int, seed: int) -> None:
        self.pool, self.batch, self.seed = pool, batch, seed
        ready = retriever.eval()
        kept: list[Tensor] = []
        sizes: list[Tensor] = []
        for scene in pool.scenes:
            frames = clip(scene, ready.num_frames, size=ready.image_size)
            with torch.autocast(ready.device.type, torch.bfloat16):
                tokens = begin(ready, ready.transform(frames)[None])
            kept.append(tokens.x_CND.to(torch.bfloat16).cpu())
            if tokens.size_CN1 is not None:
                sizes.append(tokens.size_CN1.cpu())
        self.x_VFND = torch.stack(kept)
        self.size_VFN1 = torch.stack(sizes) if sizes else None

    def part(self, step: int, rank: int, world: int) -> Batch:
        """Frames are (tokens (V, F, N, D), sizes (V, F, N, 1) or None)."""
        rng = random.Random(f"{self.seed}/captions/{step}")
        chosen = self.pool.batch(step, self.batch, self.seed)
        pairs = [rng.sample(scene.captions, 2) for _, _, scene in chosen]
        own = share(self.batch, rank, world)
        chosen, pairs = chosen[own], pairs[own]
        x = torch.stack([_way(self.x_VFND[place], back) for place, back, _ in chosen])
        size = self.size_VFN1
        if size is not None:
            size = torch.stack([_way(size[place], back) for place, back, _ in chosen])
        return Batch(
            frames=(x.float(), size),
            captions=[pair[0] for pair in pairs],
            paraphrases=[pair[1] for pair in pairs],
            videos=[2 * place + back for place, back, _ in chosen],
        )


def share(batch: int, rank: int, world: int) -> slice:
    """Where the share of one of `world` processes lies in a batch."""
    each = batch // world
    return slice(rank * each, (rank + 1) * each)


def begun_tokens(x_VFND: Tensor, size_VFN1: Tensor | None) -> Tokens:
    """Frames of `BegunBatches` as the encoder has them."""
    size = None if size_VFN1 is None else size_VFN1.flatten(0, 1)
    return Tokens(x_VFND.flatten(0, 1), size, clips_per_video=x_VFND.shape[1])


def _way(frames: Tensor, backwards: bool) -> Tensor:
    return frames.flip(0) if backwards else frames
