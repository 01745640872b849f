"""`tempme compare`: runs -> one table, seeds together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line

app = typer.Typer(add_completion=False)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders or results of `tempme train`, or folders of them.", readable=False
        ),
    ],
    form: Annotated[str, typer.Option("--format", help="markdown, csv or json.")] = "markdown",
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw R@1 against multiply-adds, too: a .png, .svg or .pdf.", readable=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put RUNS side by side: cost, accuracy, time; mean and spread where seeds are several."""
    from tempme.results.compare import check_format, compared, read, written
    from tempme.results.plot import check_plot, save_plot

    check_format(form)
    if plot is not None:
        check_plot(plot)
    found = compared(read(runs))
    if as_json:
        print_json(found)
    else:
        for line in written(found, form).splitlines():
            print_line(line)
    if plot is not None:
        save_plot(found, plot)
