"""Questions about videos, answered: the answers of a model's list with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tempme.answering.ranking import Rule, rank_answers
from tempme.retriever.answerer import Answerer


class LikelyAnswer(NamedTuple):
    """An answer and how likely it is among the candidates."""

    answer: str
    probability: float


@torch.inference_mode()
def answers_to(
    model: Answerer,
    frames: Tensor,
    questions: Sequence[str],
    *,
    k: int | None = None,
    rule: Rule = "whole",
) -> list[list[LikelyAnswer]]:
    """Videos (V, F, 3, H, W) from `transform`, a question each -> candidates, likeliest first.

    k: how many answers are scored whole, those with the likeliest first words; None is 128, or all.
    One video with several questions is encoded once.
    """
    asked = model.ask(model.watch(frames), questions)
    ids, mask = model.answer_ids()
    found = rank_answers(model.backbone.decoder, asked, ids, mask, k=k, rule=rule)
    return [
        [LikelyAnswer(model.answers[number], p) for number, p in zip(row, shares, strict=True)]
        for row, shares in zip(found.ids.tolist(), found.probabilities.tolist(), strict=True)
    ]
