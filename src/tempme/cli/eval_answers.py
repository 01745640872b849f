"""`tempme eval` of a model that answers: the share of right answers, by type of question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempme.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from tempme.experiments.settings import VideoData


def evaluate_answers(
    model: str,
    data: VideoData,
    *,
    given: dict[str, Any],
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask all questions of a split whose videos are there; `given` are options of retrieval."""
    from tempme.errors import BadSetting
    from tempme.experiments.questions import lines_of
    from tempme.experiments.video_questions import AskedVideos
    from tempme.results.runs import write
    from tempme.retriever.answerer import Answerer

    asked = [name for name, value in given.items() if value is not None]
    if asked:
        raise BadSetting(
            f"--{asked[0].replace('_', '-')} is of retrieval, and {model} answers questions: leave "
            f"it out"
        )
    answerer, world = Answerer.load(model), AskedVideos(data)
    (used,) = world.check_test()
    found = world.judge(answerer)
    document = {
        "model": model,
        "dataset": data.name,
        "split": data.test,
        "system": answerer.system.name,
        "answers": found["test"],
    }
    if out is not None:
        write(document, out)
    if as_json:
        print_json(document)
        return
    say(used)
    for line in lines_of(found):
        print_line(line)
