"""`tempme push`: a saved retriever -> a hub, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line

app = typer.Typer(add_completion=False)


@app.command()
def push(
    folder: Annotated[
        Path, typer.Argument(help="A saved retriever, such as runs/a/retriever.", readable=False)
    ],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="OWNER/NAME on the hub.")],
    result: Annotated[
        Path | None,
        typer.Option(
            help="Metrics for the card: a file of `tempme train`, or a folder of seeds.",
            readable=False,
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    license: Annotated[
        str | None,
        typer.Option(help="Licence of the weights, by the hub's name: apache-2.0, mit, ..."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Push the retriever in FOLDER to REPO_ID on the Hugging Face hub, with a model card.

    The token is that of `hf auth login`, or HF_TOKEN.
    """
    from tempme.retriever.checkpoint import load_folder
    from tempme.retriever.retriever import Retriever

    page = Retriever(load_folder(folder)).push_to_hub(
        repo_id, result=result, private=private, license=license
    )
    if as_json:
        print_json({"repo_id": repo_id, "page": page})
        return
    print_line(page)
