"""Models as a person names them on the command line: runs and checkpoints, beside all else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tempme.retriever.parts import Parts


def parts_of_run(model: str) -> Parts | None:
    """The parts of a run or one of its checkpoints; None where the name is of neither."""
    path = Path(model)
    if path.suffix != ".ckpt" and not (path / "experiment.toml").exists():
        return None
    from tempme.experiments.start import of_checkpoint  # needs what training needs

    return of_checkpoint(path).parts


def parts_of(model: str) -> Parts:
    """The parts of a run, or of what `tempme.load` takes."""
    from tempme.retriever.checkpoint import load

    return parts_of_run(model) or load(model)
