"""`tempme index`: folders of videos -> an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.answers import model_line
from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder, WorkerMemory
from tempme.cli.output import counted, print_json, print_line, say, shown_path
from tempme.errors import Stopped

if TYPE_CHECKING:
    from tempme.index import Index, Report

app = typer.Typer(add_completion=False)
FAILURES_SHOWN = 10
MODEL_HELP = "A saved model, a hub id, a file of weights, or scenes-tiny (published CLIP)."


@app.command()
def index(
    paths: Annotated[
        list[Path], typer.Argument(help="Videos, and folders of videos.", readable=False)
    ],
    index: IndexFolder = DEFAULT_INDEX,
    model: Annotated[str | None, typer.Option("--model", "-m", help=MODEL_HELP)] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove videos below PATHS that are gone.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed videos again.")
    ] = False,
    every_seconds: Annotated[float | None, typer.Option(help="From frame to frame (1).")] = None,
    overlap: Annotated[float | None, typer.Option(help="Of neighbouring windows (0.5).")] = None,
    sampling: Annotated[str | None, typer.Option(help="exact, keyframes, auto (auto).")] = None,
    fit: Annotated[
        str | None, typer.Option(help="Frames that are no square: squash, crop, pad (squash).")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that decode.")] = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    timeout_seconds: Annotated[float, typer.Option(min=1, help="For the next frame.")] = 120.0,
    total_seconds: Annotated[float, typer.Option(min=1, help="For one video.")] = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Index all videos at and below PATHS; run it again to follow what has changed.

    It can be stopped at any moment: what is finished is kept, and the next run goes on.
    """
    from tempme.cli.progress import ProgressBar

    cutting = {
        "every_seconds": every_seconds,
        "overlap": overlap,
        "sampling": sampling,
        "fit": fit,
    }
    opened = _open(index, model, {k: v for k, v in cutting.items() if v is not None})
    try:
        with ProgressBar() as bar:
            report = opened.add(
                paths,
                prune=prune,
                retry_failed=retry_failed,
                workers=workers,
                timeout_seconds=timeout_seconds,
                total_seconds=total_seconds,
                worker_memory_mb=worker_memory_mb,
                on_progress=bar.show,
            )
    except KeyboardInterrupt:
        raise Stopped(
            "stopped; what was finished is kept: run the same command again to go on"
        ) from None
    if as_json:
        print_json({"index": str(opened.path), **report.as_dict()})
    else:
        _summary(opened, report)


def _open(folder: Path, model: str | None, cutting: dict[str, object]) -> Index:
    from tempme.index import open_or_create

    return open_or_create(folder, model, **cutting)


def _summary(opened: Index, report: Report) -> None:
    say(model_line(opened))
    for video in report.failures[:FAILURES_SHOWN]:
        again = "; the next run tries it again" if video.may_pass else ""
        say(f"failed: {shown_path(video.path)}: {video.reason}{again}")
    if len(report.failures) > FAILURES_SHOWN:
        say(f"... and {len(report.failures) - FAILURES_SHOWN} more, see `tempme status --failed`")
    for item in report.unreadable:
        say(f"not looked into: {shown_path(item.path)}: {item.reason}")
    counts = vars(report.videos)
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
    print_line(
        f"{opened.path}: {told or 'no videos found'}; {counted(report.moments, 'moment')}, "
        f"{report.seconds:.1f} s, {report.videos_per_second:.2f} videos/s"
    )
