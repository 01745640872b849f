"""How many questions got their answer, in all and by the word they begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tempme.errors import BadSetting

Q = TypeVar("Q", bound=Hashable)
TYPES = ("what", "who", "how", "when", "where")  # of MSRVTT-QA and MSVD-QA


@dataclass(frozen=True)
class Accuracy:
    """Percent of the questions whose answer is right to the letter, and of how many."""

    percent: float
    num_questions: int
    num_unanswered: int


def accuracy(answers: Mapping[Q, str], right: Mapping[Q, str]) -> Accuracy:
    """Given and right answers by question; a question without one given counts as wrong."""
    if not right:
        raise BadSetting("there are no questions; check that the split has videos on disk")
    hits = sum(answers.get(question) == answer for question, answer in right.items())
    missing = sum(question not in answers for question in right)
    return Accuracy(100 * hits / len(right), len(right), missing)


def type_of(question: str) -> str:
    """The first word of a question where it is one of `TYPES`, else "other"."""
    first = question.lower().split(maxsplit=1)[:1]
    return first[0] if first and first[0] in TYPES else "other"


def accuracy_by_type(
    answers: Mapping[Q, str], right: Mapping[Q, str], questions: Mapping[Q, str]
) -> dict[str, Accuracy]:
    """`accuracy` of the questions of every type that occurs, the most frequent first."""
    return accuracy_by(answers, right, {q: type_of(questions[q]) for q in right})


def accuracy_by(
    answers: Mapping[Q, str], right: Mapping[Q, str], types: Mapping[Q, str]
) -> dict[str, Accuracy]:
    """`accuracy` of the questions of every one of the `types`, the most frequent first."""
    frequent = [kind for kind, _ in Counter(types.values()).most_common()]
    return {
        kind: accuracy(answers, {q: right[q] for q, of in types.items() if of == kind})
        for kind in frequent
    }


def answer_weights(answers: Sequence[str]) -> dict[str, float]:
    """Distinct answers of several people to one question -> the share that gave each."""
    if not answers:
        raise BadSetting("a question to learn from has no answer; leave it out")
    counts = Counter(answers)
    return {answer: count / len(answers) for answer, count in counts.items()}
