"""One retriever, one recipe, one loss: the Lightning task."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

import lightning
import torch
from torch import Tensor, distributed, nn
from torch.optim import AdamW

from tempme.retriever.retriever import Retriever
from tempme.training.batches import Batch, Begun
from tempme.training.begun import encode_begun
from tempme.training.gather import gather, gather_ids, heard, patient_group
from tempme.training.losses import contrastive_loss
from tempme.training.memory import checkpointed_layers, in_pieces
from tempme.training.optimizers import OfficialAdamW, warmup_cosine_schedule
from tempme.training.recipe import Recipe
from tempme.training.watchers import SCORE, History, Validation

M = TypeVar("M", bound=nn.Module)

LARGEST_LOGIT_SCALE = math.log(100)
_OPTIMIZERS = {"adamw": AdamW, "official": OfficialAdamW}


class LearningTask(lightning.LightningModule, Generic[M]):
    """What Lightning trains: the parameters of a model that require gradients.

    `retriever` is the model, whatever it does: checkpoints know it by that name.
    """

    def __init__(
        self,
        retriever: M,
        recipe: Recipe,
        validate: Validation | None = None,
        history: History | None = None,
    ) -> None:
        super().__init__()
        self.retriever, self.recipe = retriever, recipe
        self.validate, self.history = validate, history or History(recipe)
        self.waiting: distributed.ProcessGroup | None = None

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Open what the others wait in while one process validates."""
        self.waiting = patient_group()

    def validation_step(self, batch: Any, number: int) -> None:  # noqa: ARG002
        """Ask for the score in one process; all of them hear it, however long it takes."""
        answer: tuple[float, dict[str, float]] = (0.0, {})
        if self.trainer.is_global_zero and self.validate is not None:
            score, told = self.validate(self.retriever)
            answer = (score, dict(told))
        score, told = heard(answer, self.waiting)
        self.history.validations.append({"step": self.global_step, SCORE: score, **told})
        self.log(SCORE, score, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW over what requires gradients, and the schedule by step."""
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self._settings_of(name, parameter), []).append(parameter)
        optimizer = _OPTIMIZERS[self.recipe.optimizer](
            [
                {"params": parameters, "lr": rate, "weight_decay": decay}
                for (rate, decay), parameters in groups.items()
            ],
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
        )
        recipe = self.recipe
        schedule = warmup_cosine_schedule(
            optimizer, total_steps=recipe.steps, warmup=recipe.warmup, floor=recipe.floor
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _settings_of(self, name: str, parameter: Tensor) -> tuple[float, float]:
        """Learning rate and weight decay of one parameter."""
        recipe = self.recipe
        others = (rate for part, rate in recipe.rates.items() if part in name)
        is_decayed = recipe.decay_vectors or parameter.ndim >= 2
        return next(others, recipe.learning_rate), recipe.weight_decay if is_decayed else 0.0


class ContrastiveTask(LearningTask[Retriever]):
    """A retriever, and the contrastive loss of its features."""

    def training_step(self, batch: Batch, number: int) -> Tensor:  # noqa: ARG002
        """The share of this process -> the loss of the whole batch."""
        recipe, scale = self.recipe, self.retriever.backbone.logit_scale
        videos = self._features(self._videos, batch.frames)
        texts = self._features(self.retriever.encode_texts, batch.captions)
        ids = None if recipe.same_video_negatives else self._ids(batch)
        loss = contrastive_loss(texts, videos, scale, video_ids=ids)
        if recipe.paraphrase:
            others = self._features(self.retriever.encode_texts, batch.paraphrases)
            told = contrastive_loss(texts, others, scale, video_ids=ids)
            self.log("paraphrase_loss", told, batch_size=len(texts))
            loss = loss + recipe.paraphrase * told
        self.log("loss", loss, prog_bar=True, batch_size=len(texts))
        self.log("logit_scale", scale, batch_size=len(texts))
        return loss

    def _features(self, encode: Callable[[Any], Tensor], batch: Any) -> Tensor:
        """Features of all processes; a piece that is computed again opens its blocks again."""

        def encode_piece(piece: Any) -> Tensor:
            with checkpointed_layers(clip) if recipe.checkpoint_layers else nullcontext():
                return encode(piece)

        recipe, clip = self.recipe, self.retriever.backbone
        return gather(in_pieces(encode_piece, batch, recipe.micro_batch))

    def _videos(self, frames: Any) -> Tensor:
        if not isinstance(frames, tuple | list):
            return self.retriever.encode_videos(self.retriever.transform(frames))
        return encode_begun(self.retriever, Begun(*frames).tokens())

    def _ids(self, batch: Batch) -> Tensor:
        return gather_ids(torch.as_tensor(batch.videos, device=self.device))

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the temperature where CLIP keeps it."""
        with torch.no_grad():
            self.retriever.backbone.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)
