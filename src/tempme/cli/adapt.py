"""`tempme adapt`: a person's videos and a CLIP -> a retriever that merges, and agrees with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import (
    AsJson,
    EverySeconds,
    Exclude,
    Fit,
    Model,
    Overlap,
    SamplingName,
    TimeoutSeconds,
    WorkerMemory,
    Workers,
)
from tempme.cli.output import print_json, print_line, say, say_some, shown_path
from tempme.errors import Stopped

app = typer.Typer(add_completion=False)


@app.command()
def adapt(
    videos: Annotated[
        list[Path], typer.Argument(help="Videos, and folders of videos.", readable=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the retriever.", readable=False)
    ],
    model: Model = None,
    system: Annotated[
        str | None, typer.Option(help="What merges or prunes, of `tempme systems` (earlytom).")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="Share of the dense multiply-adds to use (0.5; with --system what that takes)."
        ),
    ] = None,
    windows: Annotated[int, typer.Option(min=10, help="Windows looked at, over all videos.")] = 200,
    steps: Annotated[int, typer.Option(min=1, help="At most so many updates.")] = 100,
    batch: Annotated[int, typer.Option(min=2, help="Windows per update.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Learning rate.")] = 6e-4,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    exclude: Exclude = None,
    every_seconds: EverySeconds = None,
    overlap: Overlap = None,
    sampling: SamplingName = None,
    fit: Fit = None,
    workers: Workers = None,
    worker_memory_mb: WorkerMemory = 1024.0,
    timeout_seconds: TimeoutSeconds = 120.0,
    as_json: AsJson = False,
) -> None:
    """Teach a model that merges what the dense one sees in VIDEOS; no captions are needed.

    A run that was cut off goes on. The text encoder stays as it is. What comes out is a saved
    retriever for `tempme index --model`.
    """
    from tempme.adapting.card import lines
    from tempme.adapting.run import adapt as adapted
    from tempme.adapting.settings import Adapting
    from tempme.adapting.windows import Decoding
    from tempme.backbones.config import DEFAULT_MODEL
    from tempme.cli.progress import counting
    from tempme.index.header import Cutting
    from tempme.settings import typed

    cut = {"every_seconds": every_seconds, "overlap": overlap, "sampling": sampling}
    cut |= {"fit": fit or "squash"}
    settings = Adapting(
        system=system,
        budget=budget,
        windows=windows,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        cutting=typed(Cutting, {k: v for k, v in cut.items() if v is not None}, "the options"),
    )
    try:
        report = adapted(
            videos,
            model or DEFAULT_MODEL,
            out,
            settings,
            decoding=Decoding(tuple(exclude or ()), workers, timeout_seconds, worker_memory_mb),
            counting=counting,
            show_progress=not as_json,
        )
    except KeyboardInterrupt:
        raise Stopped(
            f"stopped; what is done so far is in {out}: run the same command again to go on"
        ) from None
    if as_json:
        print_json(report)
        return
    found = report["videos"]
    for kind, name in (("failed", "failures"), ("note", "notes")):
        say_some(kind, [_Told(**item) for item in found[name]], rest="--json")
    if found["found"] > found["read"] + len(found["failures"]):
        say(f"looked at {found['read']:,} of {found['found']:,} videos (--windows {windows})")
    for line in lines(report):
        print_line(line)
    print_line(f"retriever: {shown_path(out)} ({report['steps']} steps, {report['seconds']:.0f} s)")


class _Told:
    """A file of a report, and what there is to say of it."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = Path(path), reason
