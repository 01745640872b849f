"""`tempme train`: an experiment file -> a trained retriever and its result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line, say

app = typer.Typer(add_completion=False)


@app.command()
def train(
    experiment: Annotated[
        Path,
        typer.Argument(help="A TOML file such as experiments/scenes/tempme.toml.", readable=False),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of logs, checkpoints and the retriever.", readable=False)
    ],
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    result: Annotated[
        Path | None, typer.Option(help="Write the result (JSON) here.", readable=False)
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: recipe.steps=100.")
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes of one device each: GPUs, or CPU processes.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines of a cluster job.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train the system of EXPERIMENT and judge it; a run that was cut off goes on.

    `tempme train diffrate-rates` learns what DiffRate prunes and merges.
    """
    from tempme.experiments import Experiment, run, run_questions
    from tempme.experiments.questions import ANSWERER, lines_of
    from tempme.results.compare import as_markdown, compared
    from tempme.results.runs import write
    from tempme.training import Devices

    settings = Experiment.read(experiment, changes or ())
    if result is not None:
        from tempme.atomic import check_writable

        check_writable(result)
    start = run_questions if settings.asks else run
    _, answer = start(
        settings,
        seed=seed,
        folder=out,
        devices=Devices(devices, nodes),
        show_progress=not as_json,
        tell=say,
    )
    if answer is None:  # another process of the run reports
        return
    if result is not None:
        write(answer, result)
    if as_json:
        print_json(answer)
        return
    if settings.asks:
        for line in lines_of(answer["metrics"]):
            print_line(line)
        say(f"answerer: {out / ANSWERER}")
        return
    for line in as_markdown(compared({settings.name: [answer]})).splitlines():
        print_line(line)
    say(f"retriever: {out / 'retriever'}")
