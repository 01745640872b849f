"""`tempme eval`: a model and a data set -> accuracy and cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.atomic import check_writable
from tempme.cli.options import AsJson, WorkerMemory
from tempme.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from tempme.retriever.retriever import Retriever

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A saved model, a run or its checkpoint, a hub id, weights."),
    ],
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
        str,
        typer.Option(help="expected, optimistic, pessimistic, mean, legacy (CLIP4Clip's)."),
    ] = "expected",
    system: Annotated[
        str | None, typer.Option(help="Of plain weights: a row of the table (clip4clip).")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a video (plain weights: the data set's).")
    ] = None,
    max_words: Annotated[
        int | None, typer.Option(min=2, help="Words of a text (plain weights: the data set's).")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of plain weights that do not say: quick_gelu or gelu.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, bf16-mixed or auto.")] = "fp32",
    batch: Annotated[int, typer.Option(min=1, help="Videos encoded at once.")] = 16,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that decode.")] = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    rerank: Annotated[
        int | None,
        typer.Option(min=1, metavar="K", help="Also look again at the K best (UMT; its own: 128)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the document (.json), or a folder of it, ranks, scores and misses.",
            readable=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test MODEL on DATASET: text to video and back, on the videos that are there.

    A model that answers is asked the questions of msrvtt-qa or msvd-qa.
    """
    from tempme.cli.progress import counting
    from tempme.datasets.table import FOLDER, open_split
    from tempme.evaluation.details import write_details
    from tempme.evaluation.evaluate import examine
    from tempme.evaluation.ranks import checked_ties
    from tempme.retriever.answerer import is_answerer

    if is_answerer(model):
        from tempme.cli.eval_answers import evaluate_answers
        from tempme.experiments.settings import VideoData

        places = (str(annotations), None if videos is None else str(videos))
        data = VideoData(dataset, *places, test=split or "test", workers=workers)
        of_retrieval = {"system": system, "rerank": rerank, "part": part, "activation": activation}
        lengths = {"frames": frames, "max_words": max_words}
        evaluate_answers(model, data, given=of_retrieval | lengths, out=out, as_json=as_json)
        return
    policy = checked_ties(ties)
    if out is not None:
        check_writable(out if _is_file(out) else out / "report.json")
    pairs = open_split(dataset, split, annotations=annotations, part=part, videos=videos)
    asked = {"frames": frames, "max_words": max_words}
    retriever = _loaded(model, dataset, system_name=system, activation=activation, **asked)
    with counting(pairs.name) as count:
        report, features = examine(
            retriever,
            pairs,
            videos=None if dataset == FOLDER else videos or annotations,
            batch=batch,
            workers=workers,
            worker_memory_mb=worker_memory_mb,
            precision=precision,
            ties=policy,
            rerank=rerank,
            on_video=count,
        )
    if as_json:
        print_json(report.as_dict())
    else:
        for line in report.lines():
            print_line(line)
        for video, reason in report.failed.items():
            say(f"left out {video}: {reason}")
    if out is None:
        return
    if _is_file(out):
        report.save(out)
    else:
        say(f"{out}: {', '.join(write_details(report, features, out))}")


def _is_file(out: Path) -> bool:
    return out.suffix == ".json"


def _loaded(
    model: str,
    dataset: str,
    *,
    system_name: str | None,
    activation: str | None,
    frames: int | None,
    max_words: int | None,
) -> Retriever:
    """The model, with the data set's lengths where it has none of its own; others are said."""
    from tempme.datasets.table import DATASETS
    from tempme.retriever.fitted import load_as, resized
    from tempme.retriever.retriever import Retriever

    known = DATASETS.get(dataset)
    path = Path(model)
    if path.suffix == ".ckpt" or (path / "experiment.toml").exists():
        from tempme.experiments.start import of_checkpoint

        retriever = Retriever(resized(of_checkpoint(path).parts, frames, max_words)).eval()
    else:
        retriever = load_as(
            model,
            system_name=system_name,
            activation=activation,
            frames=frames,
            max_words=max_words,
            lengths=(12, 32) if known is None else (known.frames, known.max_words),
        )
    made = retriever.system
    if known is not None and (made.frames, made.max_words) != (known.frames, known.max_words):
        say(
            f"{dataset} is read with {known.frames} frames and {known.max_words} words in the "
            f"literature; this model has {made.frames} and {made.max_words}"
        )
    return retriever
