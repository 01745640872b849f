"""`tempme index`: folders of videos -> an index."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.answers import model_line, say_missing
from tempme.cli.given_files import given_files
from tempme.cli.options import (
    DEFAULT_INDEX,
    AsJson,
    Device,
    Engine,
    EverySeconds,
    Exclude,
    FilesFrom,
    Fit,
    IndexFolder,
    Model,
    On,
    Overlap,
    Pictures,
    Precision,
    SamplingName,
    Shards,
    Threads,
    TimeoutSeconds,
    TotalSeconds,
    WorkerMemory,
    Workers,
)
from tempme.cli.output import counted, print_json, print_line, say, say_some, shown_path
from tempme.cli.shards import LOCAL, check_engine, make_shards
from tempme.errors import BadSetting, IndexBusy, Stopped

if TYPE_CHECKING:
    from tempme.adapting.choosing import Wanted
    from tempme.adapting.windows import Decoding
    from tempme.index import Index, Report

app = typer.Typer(add_completion=False)
BUSY_SECONDS = 5.0
# One and many of what is skipped by each rule.
SKIPPED = {
    "hidden": ("hidden", "hidden"),
    "excluded": ("excluded", "excluded"),
    "camera proxy": ("camera proxy", "camera proxies"),
    "system folder": ("system folder", "system folders"),
    "index": ("index", "indexes"),
    "text": ("text file named like a video", "text files named like videos"),
    "picture": ("picture (see --pictures)", "pictures (see --pictures)"),
    "broken link": ("broken link", "broken links"),
    "link elsewhere": ("link that leads elsewhere", "links that lead elsewhere"),
}


@app.command()
def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Videos, pictures, folders of videos; with --shards s3:// URIs, too.",
            readable=False,
        ),
    ] = None,
    index: IndexFolder = DEFAULT_INDEX,
    model: Model = None,
    system: Annotated[
        str | None,
        typer.Option(help="For plain CLIP weights: a row of `tempme systems` (chosen by a look)."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Share of the dense multiply-adds that --system may use.")
    ] = None,
    exclude: Exclude = None,
    pictures: Pictures = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove videos below PATHS that are gone.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Prune even where most videos are gone.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed videos again.")
    ] = False,
    every_seconds: EverySeconds = None,
    overlap: Overlap = None,
    sampling: SamplingName = None,
    fit: Fit = None,
    distinct: Annotated[
        float | None,
        typer.Option(help="Keep out moments nearer than this (1 - cosine) to the one before (0)."),
    ] = None,
    workers: Workers = None,
    threads: Threads = None,
    engine: Engine = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and follow what changes below PATHS.")
    ] = False,
    worker_memory_mb: WorkerMemory = 1024.0,
    timeout_seconds: TimeoutSeconds = 120.0,
    total_seconds: TotalSeconds = 3600.0,
    files_from: FilesFrom = None,
    shards: Shards = None,
    on: On = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Index all videos at and below PATHS; run it again to follow what has changed.

    Hidden files, recycle bins, thumbnails and proxies of cameras are skipped, as is what a
    .tempmeignore file in a folder lists. It can be stopped at any moment: what is finished is
    kept, and the next run goes on.

    A new index of plain CLIP weights looks at a few windows first: it gets a system that merges
    (tempme) where that agrees with the dense model, and the dense one where not.
    """
    from tempme.adapting.choosing import Wanted
    from tempme.adapting.windows import Decoding
    from tempme.cli.progress import ProgressBar
    from tempme.engines.choice import EngineChoice
    from tempme.index.building.order import RunOrder

    paths = given_files(paths, files_from)
    check_engine(on, shards, paths, watch=watch)
    running = EngineChoice(engine, precision, device)
    cutting: dict[str, object] = {
        "every_seconds": every_seconds,
        "overlap": overlap,
        "sampling": sampling,
        "fit": fit,
        "distinct": distinct,
    }
    chosen = {name: value for name, value in cutting.items() if value is not None}
    if shards is not None:
        if not running.is_open:
            raise BadSetting("shards are made by PyTorch: leave --engine and --precision out")
        order = RunOrder(
            tuple(path.expanduser() for path in paths),
            prune=prune,
            force=force,
            retry_failed=retry_failed,
            pictures=pictures,
            exclude=tuple(exclude or ()),
            workers=workers,
            threads=threads,
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
            worker_memory_mb=worker_memory_mb,
        )
        make_shards(order, uri=shards, on=on, model=model, cutting=chosen, as_json=as_json)
        return
    decoding = Decoding(tuple(exclude or ()), workers, timeout_seconds, worker_memory_mb)
    opened = _open(index, paths, Wanted(model, system, budget, chosen, running), decoding)

    def add(paths: Sequence[Path], *, prune: bool, force: bool) -> None:
        with ProgressBar() as bar:
            report = opened.add(
                paths,
                prune=prune,
                force=force,
                retry_failed=retry_failed,
                pictures=pictures,
                exclude=exclude or (),
                workers=workers,
                threads=threads,
                timeout_seconds=timeout_seconds,
                total_seconds=total_seconds,
                worker_memory_mb=worker_memory_mb,
                on_progress=bar.show,
            )
        if as_json:
            print_json({"index": str(opened.name), **report.as_dict()})
        else:
            _summary(opened, report)

    try:
        if watch:
            _watch(paths, add)
        else:
            add(paths, prune=prune, force=force)
    except KeyboardInterrupt:
        raise Stopped(
            "stopped; what was finished is kept: run the same command again to go on"
        ) from None


def _watch(paths: list[Path], add: Callable[..., None]) -> None:
    """Index the folders, then whatever changes in them, until Ctrl-C; waits for other runs."""
    from tempme.index.watching import follow

    say(f"watching {', '.join(map(shown_path, paths))}; stop with Ctrl-C")
    folders = [path.expanduser() for path in paths]
    for number, changed in enumerate(follow(folders, stop=threading.Event())):
        while there := [path for path in changed if path.exists()]:
            try:
                add(there, prune=True, force=number > 0)
                break
            except IndexBusy as busy:
                say(f"waiting: {busy}")
                time.sleep(BUSY_SECONDS)


def _open(folder: Path, paths: list[Path], wanted: Wanted, decoding: Decoding) -> Index:
    from tempme.adapting.choosing import open_index

    there = [path.expanduser() for path in paths if os.path.lexists(path.expanduser())]
    opened = open_index(folder.expanduser(), there, wanted, decoding=decoding)
    if opened.why:
        say(opened.why)
    return opened.index


def _summary(opened: Index, report: Report) -> None:
    say(model_line(opened))
    where = f"--index {opened.name}"
    say_some(
        "failed",
        [v for v in report.failures if not v.may_pass],
        rest=f"`tempme status --failed {where}`",
    )
    say_some(
        "failed, tried again by the next run",
        [v for v in report.failures if v.may_pass],
        rest="--json",
    )
    say_some("note", report.notes, rest=f"`tempme status --notes {where}`")
    say_some("not indexed", report.unreadable, rest="--json")
    if report.skipped:
        told = ", ".join(_skipped(number, rule) for rule, number in report.skipped.items())
        say(f"skipped: {told}; name a path to index it all the same")
    say_missing(report.missing)
    counts = {kind: number for kind, number in vars(report.videos).items() if number}
    more = {"with a note": len(report.notes), "missing": len(report.missing)}
    counts |= {kind: number for kind, number in more.items() if number}
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    if report.repeats:
        say(f"{counted(report.repeats, 'moment')} kept out that repeat the one before (--distinct)")
    print_line(
        f"{opened.name}: {told or 'no videos found'}; {counted(report.moments, 'moment')}, "
        f"{report.seconds:.1f} s, {report.videos_per_second:.2f} videos/s"
    )


def _skipped(number: int, rule: str) -> str:
    return f"{number:,} {SKIPPED[rule][number != 1]}"
