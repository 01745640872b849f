"""`tempme data prepare`: videos made small for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.options import AsJson, WorkerMemory
from tempme.cli.output import counted, print_json, print_line, say, shown_path, shown_time
from tempme.errors import BadDataset

if TYPE_CHECKING:
    from tempme.datasets.prepare import Preparation


def prepare(
    videos: Annotated[Path, typer.Argument(help="Folder of the videos.", readable=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the small ones; same names, .mp4.", readable=False)
    ],
    fps: Annotated[int, typer.Option(min=1, help="Frames a second.")] = 3,
    size: Annotated[int, typer.Option(min=16, help="Pixels of the short side.")] = 224,
    crf: Annotated[int, typer.Option(min=0, max=51, help="Quality: 0 best, 51 worst.")] = 18,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core.")] = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    as_json: AsJson = False,
) -> None:
    """Re-encode VIDEOS so that training reads them fast; run again to resume where it stopped."""
    from tempme.cli.progress import counting
    from tempme.datasets.prepare import VideoEncoding
    from tempme.datasets.prepare import prepare as reencode_all

    with counting("preparing") as count:
        done = reencode_all(
            videos,
            out,
            recipe=VideoEncoding(fps=fps, size=size, crf=crf),
            workers=workers,
            worker_memory_mb=worker_memory_mb,
            on_file=count,
        )
    _show(done, out, as_json=as_json)


def _show(done: Preparation, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(out), **done.as_dict()})
    else:
        for path, reason in done.failed.items():
            say(f"left out {shown_path(path)}: {reason}")
        print_line(
            f"{counted(done.made, 'video')} made, {done.ready:,} were ready, "
            f"{len(done.failed):,} left out, in {shown_time(done.seconds)}: "
            f"{done.bytes_before / 1e6:.1f} MB are {done.bytes_after / 1e6:.1f} MB in {out}"
        )
    if not done.made and not done.ready:
        raise BadDataset(f"none of {len(done.failed)} videos could be read; reasons are above")
