"""`tempme eval`: a model and a data set -> accuracy and cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tempme.cli.models import parts_of_run
from tempme.cli.options import AsJson, Engine, WorkerMemory
from tempme.cli.output import print_json, print_line, say
from tempme.errors import BadSetting

if TYPE_CHECKING:
    from tempme.datasets.pairs import Split
    from tempme.experiments.settings import VideoData
    from tempme.retriever.retriever import Retriever
    from tempme.video import Fit

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
        str | None, typer.Option(help="For plain weights: a row of `tempme systems` (clip4clip).")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a video (plain weights: the data set's).")
    ] = None,
    max_words: Annotated[
        int | None, typer.Option(min=2, help="Words of a text (plain weights: the data set's).")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="For plain weights that do not say: quick_gelu or gelu.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            help="Frames that are not square: crop, squash, pad (what the model learnt with; crop)."
        ),
    ] = None,
    frame_rate: Annotated[
        float, typer.Option(help="Pictures per second, where videos are folders of pictures.")
    ] = 1.0,
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs that encode at the same time, or threads of a CPU.")
    ] = 1,
    precision: Annotated[str, typer.Option(help="fp32, bf16, bf16-mixed, int8 or auto.")] = "fp32",
    engine: Engine = "auto",
    query_bank: Annotated[
        str | None,
        typer.Option(help="QB-Norm with the captions of this split, train say, as its bank."),
    ] = None,
    query_bank_size: Annotated[
        int | None, typer.Option(min=1, help="At most so many of them, evenly spread (all).")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Videos encoded at once.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode videos (what suits the cores).")
    ] = None,
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
    from tempme.cli.eval_answers import evaluate_answers
    from tempme.cli.progress import counting
    from tempme.datasets.table import FOLDER, open_split
    from tempme.engines.choice import EngineChoice
    from tempme.evaluation.details import write_details
    from tempme.evaluation.devices import check_devices
    from tempme.evaluation.evaluate import examine
    from tempme.evaluation.ranks import checked_ties
    from tempme.retriever.answerer import is_answerer
    from tempme.video.values import Reading, checked_fit

    if is_answerer(model):
        of_retrieval = {"system": system, "rerank": rerank, "part": part, "activation": activation}
        lengths = {"frames": frames, "max_words": max_words, "fit": fit, "query_bank": query_bank}
        data = _questions(dataset, split, annotations, videos, workers=workers)
        evaluate_answers(model, data, given=of_retrieval | lengths, out=out, as_json=as_json)
        return
    policy = checked_ties(ties)
    EngineChoice(engine, precision)
    check_devices(devices)
    Reading(frame_rate=frame_rate)
    if out is not None:
        from tempme.atomic import check_writable

        check_writable(out if _is_file(out) else out / "report.json")
    pairs = open_split(dataset, split, annotations=annotations, part=part, videos=videos)
    bank = _bank(dataset, query_bank, pairs, query_bank_size, annotations=annotations)
    asked = AskedModel(system, activation, frames, max_words, checked_fit(fit))
    retriever = _loaded(model, dataset, asked)
    with counting(pairs.name) as count:
        report, features = examine(
            retriever,
            pairs,
            videos=None if dataset == FOLDER else videos or annotations,
            batch=batch,
            workers=workers,
            worker_memory_mb=worker_memory_mb,
            precision=precision,
            engine=engine,
            ties=policy,
            rerank=rerank,
            frame_rate=frame_rate,
            devices=devices,
            query_bank=bank,
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


def _questions(
    dataset: str, split: str | None, annotations: Path, videos: Path | None, *, workers: int | None
) -> VideoData:
    from tempme.experiments.settings import VideoData

    places = str(annotations), None if videos is None else str(videos)
    return VideoData(dataset, *places, test=split or "test", workers=workers)


def _is_file(out: Path) -> bool:
    return out.suffix == ".json"


def _bank(
    dataset: str, name: str | None, tested: Split, most: int | None, *, annotations: Path
) -> tuple[str, ...] | None:
    """Captions of another split than the one that is tested; None where none is named."""
    if name is None:
        return None
    from tempme.datasets.table import open_split
    from tempme.evaluation.query_bank import bank_of

    split = open_split(dataset, name, annotations=annotations)
    if {pair.moment for pair in split.pairs} & {pair.moment for pair in tested.pairs}:
        raise BadSetting(
            f"{split.name} has videos of {tested.name}: a query bank is of other videos than those "
            f"that are tested, as a rule the training split"
        )
    return bank_of(split.captions, most)


class AskedModel(NamedTuple):
    """What of a model is asked for on the command line; None is as the model has it."""

    system_name: str | None
    activation: str | None
    frames: int | None
    max_words: int | None
    fit: Fit | None


def _loaded(model: str, dataset: str, asked: AskedModel) -> Retriever:
    """The model, with the data set's lengths where it has none of its own; others are said."""
    from tempme.datasets.table import DATASETS
    from tempme.retriever.fitted import load_as, resized
    from tempme.retriever.retriever import Retriever

    known = DATASETS.get(dataset)
    if (parts := parts_of_run(model)) is not None:
        retriever = Retriever(resized(parts, asked.frames, asked.max_words, asked.fit)).eval()
    else:
        lengths = (12, 32) if known is None else (known.frames, known.max_words)
        retriever = load_as(model, **asked._asdict(), lengths=lengths)
    made = retriever.system
    if known is not None and (made.frames, made.max_words) != (known.frames, known.max_words):
        say(
            f"{dataset} is read with {known.frames} frames and {known.max_words} words in the "
            f"literature; this model has {made.frames} and {made.max_words}"
        )
    return retriever
