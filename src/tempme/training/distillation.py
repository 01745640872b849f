"""A merged student learns the features of its dense teacher: no labels, no captions.

Three losses of unit features, which see the student's videos alone; texts are read by a tower that
both share, and that stays as it is. To agree in direction (cosine); to stand to the other videos of
a batch as the teacher's do (relational distillation, Park et al., CVPR 2019); and to stand so to a
bank of phrases, as a distribution over them (affinity mimicking, Wu et al., TinyCLIP, ICCV 2023).
Shape letters: V videos, P phrases, D feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.training.recipe import Recipe
from tempme.training.task import LearningTask
from tempme.training.watchers import History, Validation


@dataclass(frozen=True)
class Distillation:
    """How much each loss counts; 0 leaves one out.

    scale: what cosines with phrases are multiplied by before the softmax over them; the softer
        (smaller), the more phrases beside the nearest ones count.
    """

    cosine: float = 1.0
    relations: float = 10.0
    phrases: float = 1.0
    scale: float = 50.0

    def __post_init__(self) -> None:
        counts = (self.cosine, self.relations, self.phrases)
        if not all(count >= 0 for count in counts) or not any(counts):
            raise BadSetting(
                f"the losses count {counts} times (cosine, relations, phrases); each is 0 or more, "
                f"and one of them above 0"
            )
        if not self.scale > 0:
            raise BadSetting(f"distillation.scale is {self.scale}; it must be above 0")


class Taught(NamedTuple):
    """A batch: uint8 frames (V, F, S, S, 3), and the teacher's unit features (V, D) of them."""

    frames: Tensor
    features: Tensor


def cosine_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Unit features (V, D) each -> the mean of 1 - cosine."""
    return (1 - (student * teacher).sum(dim=-1)).mean()


def relation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Unit features (V, D) each -> mean squared difference of their cosines with one another.

    A video's cosine with itself does not count; of a single video the loss is 0.
    """
    count = len(student)
    if count < 2:
        return student.new_zeros(()) * student.sum()
    apart = student @ student.T - teacher @ teacher.T
    others = ~torch.eye(count, dtype=torch.bool, device=apart.device)
    return (apart[others] ** 2).mean()


def phrase_loss(student: Tensor, teacher: Tensor, phrases: Tensor, *, scale: float) -> Tensor:
    """Unit features (V, D), (V, D) and (P, D) -> mean over videos of KL(teacher || student).

    Both are distributions over the phrases: the softmax of `scale` times the cosines.
    """
    ours, theirs = ((scale * each @ phrases.T).log_softmax(dim=-1) for each in (student, teacher))
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)


def distillation_loss(
    student: Tensor, teacher: Tensor, phrases: Tensor, losses: Distillation
) -> Tensor:
    """The weighted sum of the three, in fp32 whatever the trainer's precision."""
    if student.shape != teacher.shape or student.ndim != 2:
        raise BadSetting(
            f"features of the student are {tuple(student.shape)}, of the teacher "
            f"{tuple(teacher.shape)}: the loss pairs the rows, so both are (V, D)"
        )
    with torch.autocast(student.device.type, enabled=False):
        ours, theirs, said = student.float(), teacher.float(), phrases.float()
        total = losses.cosine * cosine_loss(ours, theirs)
        if losses.relations:
            total = total + losses.relations * relation_loss(ours, theirs)
        if losses.phrases:
            told = phrase_loss(ours, theirs, said, scale=losses.scale)
            total = total + losses.phrases * told
    return total


class DistillationTask(LearningTask[Retriever]):
    """A retriever that learns the features it is given; `phrases` (P, D) are of its own texts.

    Its checkpoints hold what learns, and nothing that a fresh student has anyway.
    """

    phrases: Tensor

    def __init__(
        self,
        retriever: Retriever,
        recipe: Recipe,
        validate: Validation | None = None,
        history: History | None = None,
        *,
        phrases: Tensor,
        losses: Distillation | None = None,
    ) -> None:
        super().__init__(retriever, recipe, validate, history)
        self.register_buffer("phrases", phrases, persistent=False)
        self.losses = losses or Distillation()
        self.strict_loading = False

    def training_step(self, batch: Taught, number: int) -> Tensor:  # noqa: ARG002
        """The loss of a batch."""
        frames, teacher = batch
        videos = self.retriever.encode_videos(self.retriever.transform(frames))
        loss = distillation_loss(videos, teacher, self.phrases, self.losses)
        self.log("loss", loss, prog_bar=True, batch_size=len(videos))
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what did not learn: most of the weights."""
        learnt = {name for name, value in self.named_parameters() if value.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if name in learnt}
