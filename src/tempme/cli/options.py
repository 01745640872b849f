"""Options that several verbs share: one spelling and one help text for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_INDEX = Path("videos.tempme")

IndexFolder = Annotated[
    Path,
    typer.Option(
        "--index", "-i", envvar="TEMPME_INDEX", help="The index, a folder.", readable=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
NumHits = Annotated[int, typer.Option("-k", "--top", min=1, help="How many hits.")]
MinScore = Annotated[
    float | None, typer.Option("--min-score", help="Leave out hits below this score, -1 to 1.")
]
Moments = Annotated[
    bool, typer.Option("--moments", help="Rank moments: one video may come several times.")
]
Under = Annotated[
    Path | None, typer.Option("--under", help="Only videos in this folder.", readable=False)
]
Backbone = Annotated[str, typer.Option(help="A published CLIP, or scenes-tiny.")]
WorkerMemory = Annotated[
    float, typer.Option(min=256, help="Megabytes that each of these processes may hold.")
]
Frames = Annotated[int, typer.Option(min=1, help="Frames of a video.")]
