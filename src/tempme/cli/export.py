"""`tempme export`: a model -> a folder that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.models import parts_of
from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line, say

app = typer.Typer(add_completion=False)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A saved model, a run or its checkpoint, a hub id, weights.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="onnx, openvino, torch, openai, transformers, sentence-transformers."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder to write; it must be empty.", readable=False)
    ],
    precision: Annotated[str, typer.Option(help="fp32; of onnx also int8.")] = "fp32",
    as_json: AsJson = False,
) -> None:
    """Write MODEL as a folder for other programs, with the same features.

    openai and transformers hold a plain CLIP: LoRA and full tuning are folded into its weights;
    what learnt beside them is refused. The system (its frames, its merging) is not in such a
    folder: name it again where it is read. sentence-transformers holds any model whole, and so do
    onnx, openvino and torch, as functions of frames and words with its merging inside.
    """
    from tempme.errors import UnknownName
    from tempme.exporting.formats import FORMATS
    from tempme.exporting.formats import export as write

    if form not in FORMATS:
        raise UnknownName.among("format", form, FORMATS)
    parts = parts_of(model)
    files = write(parts, form, out, precision=precision)
    system = parts.system
    if as_json:
        print_json({"format": form, "folder": str(out), "files": files, "system": system.name})
        return
    print_line(f"{out}: {', '.join(files)}")
    say(f"read it by {FORMATS[form].read_by.format(folder=out)}; the system was {system.name}")
