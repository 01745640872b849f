"""An experiment of one step on videos of one's own."""

from __future__ import annotations

import json
from pathlib import Path

from tempme.experiments import Experiment

EXPERIMENT = """
[system]
name = "tempme"
weights = "scenes-tiny"
frames = 6
tuning = {{ vision_from = 8 }}
[data]
name = "folder"
annotations = {folder}
workers = 1
[recipe]
steps = 1
batch = 2
loggers = []
"""


def own_videos(path: Path, annotations: Path, *changes: str) -> Experiment:
    """The experiment on these annotations, read from the file `path` that is written for it."""
    path.write_text(EXPERIMENT.format(folder=json.dumps(str(annotations))), "utf-8")
    return Experiment.read(path, changes)
