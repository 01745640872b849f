"""Experiments are files, results are files: `run` turns one into the other."""

from __future__ import annotations

from tempme.experiments.questions import run_questions
from tempme.experiments.run import run
from tempme.experiments.scenes import judge
from tempme.experiments.settings import Experiment

__all__ = ["Experiment", "judge", "run", "run_questions"]
