"""What trains a UMT to answer questions: how unlikely it finds the answers that people gave."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tempme.retriever.answerer import Answerer
from tempme.training.memory import checkpointed_layers
from tempme.training.questions import answering_loss
from tempme.training.task import LearningTask


class QuestionBatch(NamedTuple):
    """Questions of one step, each about a video of its own; an answer may have several people.

    frames: uint8 (Q, F, S, S, 3). answers: of each question, with the share of people who gave it.
    """

    frames: np.ndarray | Tensor
    questions: list[str]
    answers: list[dict[str, float]]


class QuestionTask(LearningTask[Answerer]):
    """A model that answers, and the loss of the answers it should give."""

    def setup(self, stage: str) -> None:
        """Let training drop what the recipe says."""
        super().setup(stage)
        self._drop(self.recipe.drop_path, self.recipe.dropout)

    def teardown(self, stage: str) -> None:  # noqa: ARG002
        """What is dropped is of a run, not of the model."""
        self._drop(0.0, 0.0)

    def training_step(self, batch: QuestionBatch, number: int) -> Tensor:  # noqa: ARG002
        """The share of this process -> its loss; the mean over processes is that of the batch."""
        model, count = self.retriever, len(batch.questions)
        answers = [answer for given in batch.answers for answer in given]
        weights = [share for given in batch.answers for share in given.values()]
        owners = [q for q, given in enumerate(batch.answers) for _ in given]
        ids, mask = model.answer_ids(answers)
        with (
            checkpointed_layers(model.backbone) if self.recipe.checkpoint_layers else nullcontext()
        ):
            asked = model.ask(model.transform(batch.frames), batch.questions)
            loss = answering_loss(
                model.backbone.decoder,
                asked,
                ids,
                mask,
                question_of_A=torch.tensor(owners, device=self.device),
                weights_A=torch.tensor(weights, device=self.device),
            )
        self.log("loss", loss, prog_bar=True, batch_size=count)
        return loss

    def _drop(self, path: float, words: float) -> None:
        backbone = self.retriever.backbone
        backbone.vision.drop_paths(path)
        backbone.text.drop(words)
        backbone.decoder.drop(words)
