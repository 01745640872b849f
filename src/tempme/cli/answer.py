"""`tempme answer`: a question about a video -> ranked answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.options import AsJson
from tempme.cli.output import as_words, print_json, print_table, say

if TYPE_CHECKING:
    from torch import Tensor

    from tempme.retriever.answerer import Answerer

app = typer.Typer(add_completion=False)


@app.command()
def answer(
    file: Annotated[Path, typer.Argument(help="A video, or a picture.", readable=False)],
    question: Annotated[str, typer.Argument(help="What to ask of it.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model that `tempme train` made from questions.")
    ],
    k: Annotated[int, typer.Option("-k", "--top", min=1, help="How many answers.")] = 5,
    rule: Annotated[
        str, typer.Option(help="whole; official (UMT's: the first word counts twice).")
    ] = "whole",
    as_json: AsJson = False,
) -> None:
    """Answer QUESTION about FILE: the likeliest answers of the model's list."""
    from typing import cast

    from tempme.answering.asking import answers_to
    from tempme.answering.ranking import Rule, checked_rule
    from tempme.errors import BadSetting
    from tempme.retriever.answerer import Answerer

    question = as_words(question)
    if not question.strip():
        raise BadSetting("the question is empty; write what you want to know of the video")
    checked: Rule = checked_rule(rule)
    answerer = Answerer.load(model)
    notes = _notes(answerer, question)
    (ranked,) = answers_to(answerer, _frames(answerer, file), [question], rule=checked)
    shown = ranked[:k]
    for note in notes:
        say(f"warning: {note}")
    if as_json:
        print_json(
            {
                "file": str(file),
                "question": question,
                "model": str(cast("object", model)),
                "rule": rule,
                "notes": list(notes),
                "answers": [
                    {"answer": one.answer, "probability": round(one.probability, 4)}
                    for one in shown
                ],
            }
        )
        return
    rows = [(f"{one.probability:.3f}", one.answer) for one in shown]
    print_table(("probability", "answer"), rows, right=(0,))


def _frames(model: Answerer, file: Path) -> Tensor:
    """(1, F, 3, S, S) of a video, or of a picture, in which nothing moves."""
    import numpy as np

    from tempme.errors import BadVideo
    from tempme.video import Failure, Reading, is_video, load, read_image

    frames, size = model.num_frames, model.image_size
    if is_video(file):
        read = load(file, Reading(frames=frames, size=size, sampling="exact", fit="squash"))
        if isinstance(read, Failure):
            raise BadVideo(f"{file}: {read.reason}")
        if read.note:
            say(f"{file}: {read.note}")
        return model.transform(read.pixels[None])
    picture = read_image(file, size, fit="squash")
    if isinstance(picture, Failure):
        raise BadVideo(f"{file} is not a video or picture to ask about: {picture.reason}")
    return model.transform(np.repeat(picture[None], frames, axis=0)[None])


def _notes(model: Answerer, question: str) -> tuple[str, ...]:
    from tempme.retriever.answerer import QUESTION_WORDS
    from tempme.retriever.unread import unread

    note = unread(model.tokenizer, question, max_words=QUESTION_WORDS)
    return (note,) if note else ()
