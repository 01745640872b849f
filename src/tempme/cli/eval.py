"""`tempme eval`: a model and a data set -> accuracy and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import AsJson, WorkerMemory
from tempme.cli.output import print_json, print_line, say

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A saved model, a hub id, weights, scenes-tiny.")],
    dataset: Annotated[str, typer.Argument(help="msrvtt, activitynet, ..., or folder.")],
    annotations: Annotated[
        Path, typer.Option(help="Folder of the annotation files.", readable=False)
    ],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder of the videos (that of the annotations).", readable=False),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, val, ... (test; of a folder: every row).")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Of a folder: rows of this `part`.")] = None,
    ties: Annotated[
        str, typer.Option(help="optimistic, pessimistic, mean, legacy (CLIP4Clip's).")
    ] = "optimistic",
    precision: Annotated[str, typer.Option(help="fp32, bf16, bf16-mixed or auto.")] = "fp32",
    batch: Annotated[int, typer.Option(min=1, help="Videos encoded at once.")] = 16,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that decode.")] = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON document here too.", readable=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test MODEL on DATASET: text to video and back, on the videos that are there."""
    import tempme
    from tempme.cli.progress import counting
    from tempme.datasets.table import FOLDER, open_split
    from tempme.evaluation.evaluate import evaluate as evaluate_split
    from tempme.evaluation.ranks import checked_ties

    policy = checked_ties(ties)
    pairs = open_split(dataset, split, annotations=annotations, part=part)
    retriever = tempme.load(model)
    with counting(pairs.name) as count:
        report = evaluate_split(
            retriever,
            pairs,
            videos=None if dataset == FOLDER else videos or annotations,
            batch=batch,
            workers=workers,
            worker_memory_mb=worker_memory_mb,
            precision=precision,
            ties=policy,
            on_video=count,
        )
    if as_json:
        print_json(report.as_dict())
    else:
        for line in report.lines():
            print_line(line)
        for video, reason in report.failed.items():
            say(f"left out {video}: {reason}")
    if out is not None:  # at the end: what cannot be written has been read
        report.save(out)
