"""What trains a UMT: its contrastive loss, and whether texts fit videos, with hard negatives."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from tempme.backbones.umt.model import Umt, mean_cosines
from tempme.retriever.matching import matching_umt, read_texts, watch
from tempme.tokens import Tokens
from tempme.training.batches import Batch, Begun
from tempme.training.begun import frozen_layers
from tempme.training.gather import gather, gather_ids
from tempme.training.matching import (
    Pairs,
    contrastive_of,
    retrieval_losses,
    soft_contrastive_loss,
)
from tempme.training.memory import checkpointed_layers
from tempme.training.task import ContrastiveTask


class UmtTask(ContrastiveTask):
    """The sum of both losses; `recipe.matching` 0 leaves out the second."""

    def setup(self, stage: str) -> None:
        """Let training drop what the recipe says."""
        super().setup(stage)
        self.umt.vision.drop_paths(self.recipe.drop_path)
        self.umt.text.drop(self.recipe.dropout)

    def teardown(self, stage: str) -> None:  # noqa: ARG002
        """What is dropped is of a run, not of the model."""
        self.umt.vision.drop_paths(0.0)
        self.umt.text.drop(0.0)

    @property
    def umt(self) -> Umt:
        """The backbone."""
        return matching_umt(self.retriever)

    def training_step(self, batch: Batch, number: int) -> Tensor:  # noqa: ARG002
        """The share of this process -> the loss of the whole batch."""
        recipe, umt = self.recipe, self.umt
        with checkpointed_layers(umt) if recipe.checkpoint_layers else nullcontext():
            videos = self._watched(batch.frames)
            words = read_texts(self.retriever, batch.captions)
            pairs = Pairs.of(umt, videos, words, self._numbers(batch))
            loss = self._loss(pairs)
        if recipe.paraphrase:
            loss = loss + recipe.paraphrase * self._told_otherwise(pairs, batch)
        self.log("loss", loss, prog_bar=True, batch_size=len(pairs.ids))
        self.log("temperature", umt.temperature, batch_size=len(pairs.ids))
        return loss

    def _watched(self, frames: Any) -> Tokens:
        """Tokens of the videos, from frames or from what a pool has computed once."""
        if not isinstance(frames, tuple | list):
            return watch(self.retriever, self.retriever.transform(frames))
        vision, first = self.umt.vision, frozen_layers(self.retriever)
        return vision.encode(Begun(*frames).tokens(num_protected=0), vision.layers[first:])

    def _loss(self, pairs: Pairs) -> Tensor:
        weight, count = self.recipe.matching, len(pairs.ids)
        if not weight:
            return contrastive_of(self.umt, pairs)
        gathers = self.recipe.gather_negatives
        found = retrieval_losses(self.umt, pairs, gather_negatives=gathers)
        self.log("contrastive_loss", found.contrastive, batch_size=count)
        self.log("matching_loss", found.matching, batch_size=count)
        return found.contrastive + weight * found.matching

    def _told_otherwise(self, pairs: Pairs, batch: Batch) -> Tensor:
        """The contrastive loss between two captions of each video."""
        others = self.umt.text.project(read_texts(self.retriever, batch.paraphrases))
        cosines = mean_cosines(gather(others)[:, None], gather(pairs.texts))
        ids = gather_ids(pairs.ids)
        return soft_contrastive_loss(cosines, self.umt.temperature, video_ids=ids)

    def _numbers(self, batch: Batch) -> Tensor:
        """Which pairs are no negatives of each other: those of one video, or none."""
        if self.recipe.same_video_negatives:
            first = self.global_rank * len(batch.videos)
            return torch.arange(first, first + len(batch.videos), device=self.device)
        return torch.as_tensor(batch.videos, device=self.device)

    def on_train_batch_end(self, *_: object) -> None:
        """Keep the temperature where UMT keeps it."""
        self.umt.keep_temperature()

    def _settings_of(self, name: str, parameter: Tensor) -> tuple[float, float]:
        """A lone number, such as the temperature, decays: it is no vector."""
        rate, decay = super()._settings_of(name, parameter)
        return rate, self.recipe.weight_decay if parameter.ndim == 0 else decay
