"""What an evaluation has to say: accuracy, cost, and what was left out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempme.atomic import replacing
from tempme.evaluation.known_answers import KnownAnswers
from tempme.evaluation.metrics import BothDirections
from tempme.evaluation.query_bank import BankScores
from tempme.evaluation.second_stage import SecondStage

if TYPE_CHECKING:
    from tempme.cost import Cost


@dataclass(frozen=True)
class Scores:
    """Accuracy of some features.

    `dual_softmax` looks at all queries at once: a protocol of its own, never to be compared with
    the plain numbers; None where the matrix is too large. `query_bank` is another such protocol,
    where a bank was given. `num_tied` texts have a wrong video with the very score of the right
    one, `num_tied_videos` videos a wrong text: many mean a collapsed model, or captions that come
    twice.
    """

    plain: BothDirections
    dual_softmax: BothDirections | None
    num_tied: int
    num_tied_videos: int
    query_bank: BankScores | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """What was evaluated, how well, at which cost, and what was left out."""

    split: str
    system: str
    fingerprint: str
    precision: str
    ties: str
    fit: str
    scores: Scores
    num_texts: int
    num_videos: int
    num_moments: int
    num_listed: int
    num_cut: int
    missing: tuple[str, ...]
    failed: dict[str, str]
    cost: Cost
    seconds: float
    known_answers: KnownAnswers
    second_stage: SecondStage | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the numbers are of the whole split."""
        return not self.missing and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON."""
        return {**asdict(self), "is_complete": self.is_complete}

    def save(self, path: Path) -> None:
        """Write the JSON document."""
        with replacing(path) as draft:
            draft.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")

    def lines(self) -> tuple[str, ...]:
        """CLIP4Clip's log lines, what they were computed on, and what is missing."""
        lines = [
            f"{self.split}, {self.system}: {self.num_texts:,} texts, {self.num_videos:,} of"
            f" {self.num_listed:,} videos, {self.cost.gmacs:.1f} G multiply-adds a video",
            *self.scores.plain.log_lines().splitlines(),
        ]
        if self.scores.dual_softmax is not None:
            lines.append("With dual softmax over all queries (another protocol):")
            lines.extend(self.scores.dual_softmax.log_lines().splitlines())
        if self.second_stage is not None:
            lines.extend(self.second_stage.lines())
        if (bank := self.scores.query_bank) is not None:
            lines.append(
                f"With QB-Norm, a query bank of {bank.num_queries:,} training captions (another "
                f"protocol):\n\t>>>  {bank.t2v.log_line()}"
            )
        if not self.is_complete:
            lines.append(
                f"Not the whole split: {len(self.missing):,} videos are missing,"
                f" {len(self.failed):,} cannot be read"
            )
        tied = {"texts": self.scores.num_tied, "videos": self.scores.num_tied_videos}
        for what, other in (("texts", "video"), ("videos", "text")):
            if tied[what]:
                lines.append(
                    f"{tied[what]:,} {what} tie with a wrong {other} (counted by: {self.ties})"
                )
        if self.num_cut:
            lines.append(f"{self.num_cut:,} texts are longer than the model reads, and were cut")
        return tuple(lines)
