"""A retriever, batches and a recipe -> the retriever, trained: on one device or several."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from tempme.errors import BadSetting, BadWeights, MissingExtra
from tempme.retriever.precision import has_bf16
from tempme.training.batches import AnyBatches, Stream
from tempme.training.checkpoints import BEST, CHECKPOINT, WholeCheckpoints, check_steps, weights_of
from tempme.training.kinds import task_kind
from tempme.training.memory import keep_freed_memory
from tempme.training.progress import Steps
from tempme.training.recipe import Recipe
from tempme.training.task import LearningTask
from tempme.training.watchers import SCORE, History, LastWeights, Validation

# A model, its recipe, validation and history -> the task that Lightning runs.
MakeTask = Callable[[Any, Recipe, Validation | None, History], LearningTask[Any]]

M = TypeVar("M", bound=nn.Module)

EVERY = {"cpu": 1}  # steps between two looks at numbers, which elsewhere wait for the device
EVERY_ON_DEVICE = 10


@dataclass(frozen=True)
class Fitted(Generic[M]):
    """A trained model, ready to encode, with its last weights (or their running mean).

    `history` is that of the whole run, resumed or not. `is_main` is False in all processes but
    one of a run of several: that one writes what there is to write. `best_score` is None where
    nothing was validated; `take_best` puts those weights in.
    """

    retriever: M
    history: History
    is_main: bool
    folder: Path
    steps: int
    best_score: float | None = None

    def take_best(self) -> M:
        """The model with the weights that validated best, in place."""
        path = self.folder / BEST
        if not path.exists():
            raise BadWeights(f"{path} is missing: nothing was validated in this run")
        self.retriever.load_state_dict(weights_of(path))
        return self.retriever


@dataclass(frozen=True)
class Devices:
    """Where a run takes place: `count` processes of one device each, on the accelerator there is.

    On a cluster (SLURM, torchrun) `nodes` machines of `count` devices each.
    """

    count: int = 1
    nodes: int = 1
    accelerator: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")

    def __post_init__(self) -> None:
        if self.count < 1 or self.nodes < 1:
            raise BadSetting(f"{self.count} devices on {self.nodes} machines; 1 or more of each")

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.count * self.nodes

    def strategy(self) -> Any:
        """One process as it is; several with the mean of their gradients."""
        if self.processes == 1:
            return "auto"
        # Some systems have parameters that their originals left dead (DGL's postfix).
        return DDPStrategy(find_unused_parameters=True)


def fit(
    retriever: M,
    batches: AnyBatches,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int = 0,
    devices: Devices | None = None,
    validate: Validation | None = None,
    show_progress: bool = True,
    learn_by: MakeTask | None = None,
) -> Fitted[M]:
    """Train `retriever`, a Retriever or an Answerer, in place.

    Logs and checkpoints go to `folder`, the last of them after the last step; where one lies there,
    the run goes on from it, also one that had ended where `recipe.steps` are more by now.
    `validate` is asked every `recipe.validate_every` steps, else at the end; the best weights stay.
    learn_by: what makes the task, where it is not the one that this kind of model is trained by.
    """
    devices = devices or Devices()
    if recipe.batch % devices.processes:
        raise BadSetting(
            f"recipe.batch is {recipe.batch}, which {devices.processes} processes cannot share "
            f"equally; use a multiple of {devices.processes}"
        )
    if devices.accelerator == "cpu" and recipe.keep_freed_memory:
        keep_freed_memory()
    lightning.seed_everything(seed, verbose=False)
    history = History(recipe, EVERY.get(devices.accelerator, EVERY_ON_DEVICE))
    task = (learn_by or task_kind(retriever, recipe))(retriever, recipe, validate, history)
    last = folder / CHECKPOINT
    if last.exists():
        check_steps(last, recipe.steps)
    retriever.train()
    with _quietly():
        trainer = _trainer(recipe, devices, folder, history, validate is not None, show_progress)
        trainer.fit(
            task,
            Stream(batches, recipe.steps, trainer),
            [0] if validate else None,  # one item: a validation is one question
            ckpt_path=str(last) if last.exists() else None,
            weights_only=True,
        )
    return Fitted(
        retriever.eval(),
        history,
        is_main=trainer.is_global_zero,
        folder=folder,
        steps=trainer.global_step,
        best_score=_best_score(trainer),
    )


def _trainer(
    recipe: Recipe,
    devices: Devices,
    folder: Path,
    history: History,
    is_validated: bool,
    show_progress: bool,
) -> lightning.Trainer:
    every = min(recipe.validate_every or recipe.steps, recipe.steps)
    return lightning.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        num_nodes=devices.nodes,
        strategy=devices.strategy(),
        precision=_precision(recipe.precision, devices.accelerator),
        max_steps=recipe.steps,
        max_epochs=-1,  # steps alone count
        gradient_clip_val=recipe.clip_norm,
        val_check_interval=every if is_validated else None,
        check_val_every_n_epoch=None if is_validated else 1,
        num_sanity_val_steps=0,
        logger=[_logger(name, folder) for name in recipe.loggers],
        callbacks=_callbacks(recipe, folder, history, is_validated, show_progress),
        plugins=[WholeCheckpoints()],
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        log_every_n_steps=history.every,
        use_distributed_sampler=False,
        inference_mode=False,
    )


def _callbacks(
    recipe: Recipe, folder: Path, history: History, is_validated: bool, show_progress: bool
) -> list[Callback]:
    made: list[Callback] = [history]
    if recipe.loggers:
        made.append(LearningRateMonitor("step"))
    if recipe.average:
        made.append(EMAWeightAveraging(decay=recipe.average))
    if is_validated:
        made += _choosers(recipe, folder)
    if show_progress:
        made.append(Steps(history.every))
    return [*made, LastWeights(folder / CHECKPOINT, history)]


def _choosers(recipe: Recipe, folder: Path) -> list[Callback]:
    """Keep the best weights; stop where nothing gets better."""
    best = ModelCheckpoint(
        folder,
        "best",
        monitor=SCORE,
        mode="max",
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    if not recipe.patience:
        return [best]
    return [
        best,
        EarlyStopping(SCORE, mode="max", patience=recipe.patience, check_on_train_epoch_end=False),
    ]


def _logger(name: str, folder: Path) -> Logger:
    """A logger that starts a new version where a run goes on: earlier logs stay."""
    if name == "csv":
        return CSVLogger(folder, name="csv")
    if name == "tensorboard":
        return TensorBoardLogger(folder, name="tensorboard")
    try:
        return WandbLogger(project="tempme", name=folder.name, save_dir=folder)
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "the logger wandb needs the package of that name: pip install wandb"
        ) from missing


def _precision(asked: str, accelerator: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    if asked == "fp16-mixed":
        if accelerator == "cpu":
            raise BadSetting(
                "recipe.precision is fp16-mixed, which needs a GPU; on a CPU take bf16-mixed, "
                "fp32 or auto"
            )
        return "16-mixed"
    is_half = asked == "bf16-mixed" or (asked == "auto" and has_bf16(accelerator))
    return "bf16-mixed" if is_half else "32-true"


def _best_score(trainer: lightning.Trainer) -> float | None:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor == SCORE:
            score = callback.best_model_score
            return None if score is None else float(score)
    return None


@contextmanager
def _quietly() -> Iterator[None]:
    told = logging.getLogger("lightning.pytorch")
    level = told.level
    told.setLevel(logging.WARNING)  # what it says beside is of its makers' products
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # advice about workers and loggers
        try:
            yield
        except SystemExit as end:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from end
        finally:
            told.setLevel(level)
