"""`tempme similar`: the moments that look like a video or picture at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.answers import answer
from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder, MinScore, Moments, NumHits, Under

app = typer.Typer(add_completion=False)


@app.command()
def similar(
    file: Annotated[
        Path, typer.Argument(help="A video or picture, in the index or not.", readable=False)
    ],
    index: IndexFolder = DEFAULT_INDEX,
    k: NumHits = 10,
    min_score: MinScore = None,
    moments: Moments = False,
    under: Under = None,
    as_json: AsJson = False,
) -> None:
    """Find the videos most like FILE, each by its best moment."""
    from tempme.index import Index

    opened = Index.open(index)
    hits = opened.similar(file, k, min_score=min_score, moments=moments, under=under)
    answer(opened, hits, asked={"file": str(file)}, k=k, as_json=as_json)
