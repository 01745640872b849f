"""Which task trains a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from tempme.backbones.umt.model import Umt
from tempme.errors import BadSetting
from tempme.retriever.answerer import Answerer
from tempme.retriever.retriever import Retriever
from tempme.training.question_task import QuestionTask
from tempme.training.recipe import Recipe
from tempme.training.task import ContrastiveTask, LearningTask
from tempme.training.umt_task import UmtTask

OF_UMT = ("matching", "gather_negatives", "drop_path", "dropout")
OF_RETRIEVAL = ("matching", "gather_negatives", "paraphrase", "micro_batch")


def task_kind(model: nn.Module, recipe: Recipe) -> type[LearningTask[Any]]:
    """What trains this model; BadSetting where the recipe asks for what it cannot learn by."""
    if isinstance(model, Answerer):
        _refuse(recipe, OF_RETRIEVAL, f"of retrieval, and {model.system.name} answers questions")
        return QuestionTask
    if not isinstance(model, Retriever):
        raise BadSetting(f"{type(model).__name__} is no model that can be trained here")
    if not isinstance(model.backbone, Umt):
        _refuse(recipe, OF_UMT, f"of UMT, which {model.system.name} is not")
        return ContrastiveTask
    if recipe.micro_batch:
        raise BadSetting(
            "recipe.micro_batch cuts a batch into pieces, whose texts and videos a UMT has to "
            "see together: set it to 0, and checkpoint_layers where memory lacks"
        )
    return UmtTask


def _refuse(recipe: Recipe, names: tuple[str, ...], what: str) -> None:
    asked = [name for name in names if getattr(recipe, name)]
    if asked:
        raise BadSetting(f"recipe.{asked[0]} is {what}: leave {' and '.join(asked)} out")
