"""What a run begins with: a fresh system on weights, or a saved retriever; and its checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tempme.backbones.sizes import backbone_name
from tempme.errors import BadSetting, BadWeights
from tempme.experiments.identity import RETRIEVER, SETTINGS
from tempme.experiments.scenes import vocabulary
from tempme.experiments.settings import Experiment, SystemSettings
from tempme.retriever.checkpoint import backbone_of, build, load
from tempme.retriever.names import SYSTEM, is_saved
from tempme.retriever.parts import Parts
from tempme.retriever.retriever import Retriever
from tempme.training import CHECKPOINT, weights_of
from tempme.weights.fit import misfit


def started(experiment: Experiment, seed: int) -> tuple[Retriever, Experiment]:
    """The retriever that a run trains, and the experiment with what it turned out to be."""
    asked = experiment.system
    parts = _trained(asked) if asked.continue_from else _fresh(asked, seed)
    made = parts.system
    told = replace(
        asked,
        frames=made.frames,
        max_words=made.max_words,
        fit=None if made.fit == "crop" else made.fit,  # as runs of before have it
        # Sizes without a name are those of the weights, which stand beside.
        backbone=None if asked.continue_from else backbone_name(made.config),
    )
    return Retriever(parts).eval(), replace(experiment, system=told)


def of_checkpoint(path: Path) -> Retriever:
    """The retriever of a run: of its folder, or of one of its checkpoints.

    The folder's is that which was saved in the end, else its last checkpoint. BadWeights where
    there is none.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / RETRIEVER / SYSTEM).exists():
        return Retriever.load(path / RETRIEVER)
    file = path / CHECKPOINT if path.is_dir() else path
    if not (folder / SETTINGS).exists() or not file.exists():
        raise BadWeights(
            f"{path} is of no run: {CHECKPOINT} and {SETTINGS} of `tempme train` lie in one folder"
        )
    state = weights_of(file)
    retriever, _ = started(Experiment.read(folder / SETTINGS), seed=0)
    shapes = {name: tuple(value.shape) for name, value in retriever.state_dict().items()}
    wrong = misfit(shapes, state)
    if wrong:
        raise BadWeights(f"{file} does not fit {folder / SETTINGS}: {wrong}")
    retriever.load_state_dict(state)
    return Retriever(replace(retriever.parts, origin=str(file))).eval()


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run, or a checkpoint in one."""
    folder = path if path.is_dir() else path.parent
    is_checkpoint = path.is_dir() or path.suffix == Path(CHECKPOINT).suffix
    return path.exists() and is_checkpoint and (folder / SETTINGS).exists()


def _fresh(asked: SystemSettings, seed: int) -> Parts:
    weights = asked.weights
    if weights is None:
        made = asked.system()
        return build(made, None, tokenizer=vocabulary(made.max_words, made.config), seed=seed)
    made = asked.system(None if asked.backbone else backbone_of(weights))
    return build(made, weights, activation=asked.activation, seed=seed)


def _trained(asked: SystemSettings) -> Parts:
    source = str(asked.continue_from)
    if not is_saved(source):
        raise BadSetting(
            f"system.continue_from is {source!r}, which is not a saved retriever: give a folder "
            f"that `tempme train` wrote (its retriever/), or name weights as system.weights"
        )
    parts = load(source)
    made = parts.system
    for name in ("name", "frames", "max_words"):
        wanted, has = getattr(asked, name), getattr(made, name)
        if wanted not in (None, has):
            raise BadSetting(
                f"system.{name} is {wanted!r}, but {source} has {has!r}: a retriever that is "
                f"trained on stays the system that it is"
            )
    return parts if asked.fit is None else replace(parts, system=replace(made, fit=asked.fit))
