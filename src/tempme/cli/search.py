"""`tempme search`: the moments that a sentence describes."""

from __future__ import annotations

from typing import Annotated

import typer

from tempme.cli.answers import answer
from tempme.cli.options import (
    DEFAULT_INDEX,
    AsJson,
    Device,
    Engine,
    IndexFolder,
    MinScore,
    Moments,
    NumHits,
    Precision,
    Under,
)
from tempme.cli.output import as_words

app = typer.Typer(add_completion=False)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What the video shows, in your words.")],
    index: IndexFolder = DEFAULT_INDEX,
    k: NumHits = 10,
    min_score: MinScore = None,
    moments: Moments = False,
    under: Under = None,
    rerank: Annotated[
        int | None,
        typer.Option(min=1, metavar="K", help="Look again at the K best (UMT models only)."),
    ] = None,
    engine: Engine = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the videos that show QUERY, each by its best moment."""
    from tempme.engines.choice import EngineChoice
    from tempme.index import Index

    query = as_words(query)
    opened = Index.open(index, running=EngineChoice(engine, precision, device))
    hits = opened.search(query, k, min_score=min_score, moments=moments, under=under, rerank=rerank)
    notes = opened.notes_on(query)
    answer(opened, hits, asked={"query": query}, k=k, as_json=as_json, notes=notes)
