"""`tempme features`: videos -> a table of features for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.options import (
    AsJson,
    Device,
    Engine,
    EverySeconds,
    Exclude,
    Fit,
    Model,
    Overlap,
    Pictures,
    Precision,
    SamplingName,
    Threads,
    TimeoutSeconds,
    TotalSeconds,
    Workers,
)
from tempme.cli.output import counted, print_json, print_line, say, say_some, shown_path
from tempme.errors import BadVideo, Stopped

if TYPE_CHECKING:
    from tempme.index.features import Features
    from tempme.index.header import Cutting

app = typer.Typer(add_completion=False)


@app.command()
def features(
    videos: Annotated[
        list[Path], typer.Argument(help="Videos, pictures, and folders of videos.", readable=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A .parquet, or an .npy.", readable=False)
    ],
    model: Model = None,
    exclude: Exclude = None,
    pictures: Pictures = False,
    every_seconds: EverySeconds = None,
    overlap: Overlap = None,
    sampling: SamplingName = None,
    fit: Fit = None,
    workers: Workers = None,
    threads: Threads = None,
    engine: Engine = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    timeout_seconds: TimeoutSeconds = 120.0,
    total_seconds: TotalSeconds = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Write the features of all moments at and below VIDEOS to one file.

    A .parquet has the columns path, start_seconds, end_seconds, fingerprint and feature; an .npy
    is a matrix, and the .json file beside it names its rows. Nothing is written before the end.
    """
    from tempme.cli.progress import ProgressBar
    from tempme.engines.choice import EngineChoice
    from tempme.index.feature_files import feature_file
    from tempme.index.features import extract_features
    from tempme.index.model import load_default_model, load_model

    cutting = _cutting(every_seconds=every_seconds, overlap=overlap, sampling=sampling, fit=fit)
    running = EngineChoice(engine, precision, device)
    try:
        with feature_file(out) as write, ProgressBar() as bar:
            retriever = load_default_model() if model is None else load_model(model)
            found = extract_features(
                videos,
                retriever.for_inference(running.precision, running.engine, running.device),
                cutting=cutting,
                pictures=pictures,
                exclude=exclude or (),
                workers=workers,
                threads=threads,
                timeout_seconds=timeout_seconds,
                total_seconds=total_seconds,
                on_progress=bar.show,
            )
            _check(found)
            write(found)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {out} was not written") from None
    _tell(found, out, as_json=as_json)


def _cutting(**given: object) -> Cutting:
    from tempme.index.header import Cutting
    from tempme.settings import typed

    chosen = {name: value for name, value in given.items() if value is not None}
    return typed(Cutting, chosen, "the options")


def _check(found: Features) -> None:
    if not found.paths:
        told = "; ".join(f"{item.path}: {item.reason}" for item in found.failures[:3])
        raise BadVideo(
            f"no features, so nothing is written: {counted(len(found.failures), 'file')} failed"
            + (f" ({told})" if told else "; no videos found")
        )


def _tell(found: Features, out: Path, *, as_json: bool) -> None:
    num_files = len(set(found.paths))
    if as_json:
        told = {"failures": found.failures, "notes": found.notes}
        print_json(
            {
                "out": str(out),
                "model": found.model,
                "fingerprint": found.fingerprint,
                **{k: [{"path": str(i.path), "reason": i.reason} for i in told[k]] for k in told},
                "skipped": dict(found.skipped),
                "videos": num_files,
                "moments": len(found.paths),
                "seconds": round(found.seconds, 3),
            }
        )
        return
    say(f"model: {found.model}")
    say_some("failed", found.failures, rest="--json")
    say_some("note", found.notes, rest="--json")
    failed = f", {len(found.failures):,} failed" if found.failures else ""
    print_line(
        f"{shown_path(out)}: {counted(len(found.paths), 'moment')} of "
        f"{counted(num_files, 'video')}{failed}; {found.seconds:.1f} s"
    )
