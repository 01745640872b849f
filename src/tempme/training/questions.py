"""What UMT learns to answer questions by: how unlikely it finds the answers that people gave."""

from __future__ import annotations

from torch import Tensor

from tempme.backbones.umt.answerer import AnswerDecoder
from tempme.errors import BadSetting
from tempme.tokens import Tokens

# Shape letters: Q questions, A answers of all of them, N words.


def answering_loss(
    decoder: AnswerDecoder,
    questions: Tokens,
    ids_AN: Tensor,
    mask_AN: Tensor,
    *,
    question_of_A: Tensor,
    weights_A: Tensor,
) -> Tensor:
    """Questions from `UmtAnswerer.ask`, and the answers to each -> the loss of a batch.

    Of an answer the sum over its words, times its weight; of these the sum over all answers by the
    number of questions (OpenGVLab/unmasked_teacher 4fb4049).
    """
    if not len(ids_AN) == len(question_of_A) == len(weights_A):
        raise BadSetting(
            f"{len(ids_AN)} answers with {len(question_of_A)} questions and {len(weights_A)} "
            f"weights; each answer has one of both"
        )
    asked = questions.rows(question_of_A, clips_per_video=1)
    return (weights_A * decoder.losses(ids_AN, mask_AN, asked)).sum() / len(questions.x_CND)
