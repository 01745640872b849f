"""A list of answers, ranked by how likely a model finds each: UMT's, after ALBEF.

Li et al., NeurIPS 2021, arXiv 2107.07651 (appendix on VQA): the likeliest first words choose `k`
candidates, and the whole answers of those are scored. Two rules for the score:

    official    log p(first word) + log p(whole answer): the first word counts twice, and long
                answers that begin with a likely word gain by it (UMT, code at 4fb4049)
    whole       log p(whole answer)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from tempme.backbones.umt.answerer import AnswerDecoder
from tempme.errors import BadSetting
from tempme.tokens import Tokens

# Shape letters: Q questions, A answers of the list, K candidates, N words.

Rule: TypeAlias = Literal["official", "whole"]
CANDIDATES = 128
QUESTIONS_AT_ONCE = 8


@dataclass(frozen=True)
class RankedAnswers:
    """The candidates of every question, best first."""

    ids: Tensor  # (Q, K) places in the list of answers
    probabilities: Tensor  # (Q, K) among the candidates

    def __len__(self) -> int:
        return len(self.ids)


@torch.no_grad()
def rank_answers(
    decoder: AnswerDecoder,
    questions: Tokens,
    ids_AN: Tensor,
    mask_AN: Tensor,
    *,
    k: int | None = None,
    rule: Rule = "whole",
) -> RankedAnswers:
    """Questions from `UmtAnswerer.ask`, and answers as the tokenizer gives them with `end=True`.

    `k` is the number of candidates; None is 128, or all answers where there are fewer.
    """
    k = min(CANDIDATES, len(ids_AN)) if k is None else k
    _check(k, rule, ids_AN)
    parts = []
    for rows in torch.arange(len(questions.x_CND), device=ids_AN.device).split(QUESTIONS_AT_ONCE):
        some = questions.rows(rows, clips_per_video=1)
        first = first_words(decoder, some, ids_AN)
        chosen = _candidates(first, k, rule)
        losses = candidate_losses(decoder, some, ids_AN, mask_AN, chosen)
        parts.append(_ranked(first.gather(1, chosen), chosen, losses, rule))
    return RankedAnswers(
        torch.cat([p.ids for p in parts]), torch.cat([p.probabilities for p in parts])
    )


def first_words(decoder: AnswerDecoder, questions: Tokens, ids_AN: Tensor) -> Tensor:
    """(Q, A) fp32: the probability that an answer begins with the first word of each."""
    start = ids_AN[:1, :1].expand(len(questions.x_CND), 1)
    following: Tensor = decoder(start, torch.ones_like(start), questions)[:, 0].float()
    return following.softmax(dim=-1)[:, ids_AN[:, 1]]


def candidate_losses(
    decoder: AnswerDecoder, questions: Tokens, ids_AN: Tensor, mask_AN: Tensor, chosen_QK: Tensor
) -> Tensor:
    """(Q, K): the negative log probability of the whole answers at `chosen`."""
    rows = chosen_QK.flatten()
    return decoder.losses(ids_AN[rows], mask_AN[rows], questions).view_as(chosen_QK)


def _candidates(first_QA: Tensor, k: int, rule: Rule) -> Tensor:
    if rule == "official":  # whose choice among equals is that of the library
        return first_QA.topk(k, dim=1).indices
    return first_QA.sort(dim=1, descending=True, stable=True).indices[:, :k]


def _ranked(first_QK: Tensor, chosen_QK: Tensor, losses_QK: Tensor, rule: Rule) -> RankedAnswers:
    scores = first_QK.log() - losses_QK if rule == "official" else -losses_QK
    best, order = scores.softmax(dim=-1).sort(dim=1, descending=True, stable=True)
    return RankedAnswers(chosen_QK.gather(1, order), best)


def checked_rule(rule: str) -> Rule:
    """The rule of this name; BadSetting where there is none."""
    if rule not in get_args(Rule):
        raise BadSetting(f"rule is {rule!r}; it is one of {', '.join(get_args(Rule))}")
    return cast("Rule", rule)


def _check(k: int, rule: str, ids_AN: Tensor) -> None:
    checked_rule(rule)
    if not 1 <= k <= len(ids_AN):
        raise BadSetting(
            f"k is {k}, but the list has {len(ids_AN)} answers; k of them are scored whole, so 1 "
            f"to {len(ids_AN)}"
        )
    if ids_AN.shape[1] < 2:
        raise BadSetting("answers of no word: give the tokenizer max_words of 2 or more")
