"""Training whatever a system lets learn, on Lightning: the paper's recipe by default.

Symmetric contrastive loss, AdamW, a linear warm-up and half a cosine, gradients cut at norm 1
(paper, appendix B; the official code's settings).
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from tempme.datasets.batches import Pool
from tempme.datasets.scenes import clip
from tempme.errors import BadSetting, MissingExtra
from tempme.losses import contrastive_loss
from tempme.optimizers import warmup_cosine_schedule
from tempme.precision import PRECISIONS, resolve
from tempme.retriever import Retriever
from tempme.tokens import Tokens

try:
    import lightning
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
except ImportError as missing:
    raise MissingExtra(f"training needs {missing.name}: pip install 'tempme[train]'") from missing

LARGEST_LOGIT_SCALE = math.log(100)
CHECKPOINT = "last.ckpt"


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the official TempMe release's, in steps.

    warmup is a share of the steps. decay_vectors: weight decay also for biases, norms and
    positions, as in the official code. precision: fp32, or bf16 products ("auto" where the
    machine has instructions for them); weights stay fp32. rates: other learning rates, for
    parameters whose name holds the key, such as clip_position. paraphrase: weight of a second
    contrastive loss, between two captions of each video, for texts that have to learn order.
    """

    steps: int = 300
    batch: int = 128
    learning_rate: float = 6e-4
    weight_decay: float = 0.2
    decay_vectors: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.1
    clip_norm: float = 1.0
    precision: str = "auto"
    save_every: int = 50
    rates: Mapping[str, float] = field(default_factory=dict)
    paraphrase: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise BadSetting(f"recipe.{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.warmup < 1:
            raise BadSetting(f"recipe.warmup is {self.warmup}; it is a share: 0 up to below 1")
        if self.precision not in PRECISIONS:
            raise BadSetting(
                f"recipe.precision is {self.precision!r}; possible: {', '.join(PRECISIONS)}"
            )


Batch = tuple[Any, list[str], list[str]]


class Batches(Protocol):
    """Batches by number, so that a resumed run sees what an undisturbed one would."""

    def __getitem__(self, step: int) -> Batch:
        """Frames uint8 (V, F, S, S, 3), a caption per video, and another of its captions."""


class Stream:
    """The batches of a run, from `first` on; Lightning keeps its place in checkpoints."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.steps, self.first = batches, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first, self.steps):
            self.first = step + 1
            yield self.batches[step]

    def state_dict(self) -> dict[str, int]:
        """The number of the batch to go on with."""
        return {"first": self.first}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was taken."""
        self.first = state["first"]


class BegunBatches:
    """Batches from a pool whose videos have already passed the frozen layers."""

    def __init__(self, retriever: Retriever, pool: Pool, *, batch: int, seed: int) -> None:
        self.pool, self.batch, self.seed = pool, batch, seed
        ready = retriever.eval()
        kept: list[Tensor] = []
        sizes: list[Tensor] = []
        for scene in pool.scenes:
            frames = clip(scene, ready.frames, size=ready.image_size)
            with torch.autocast(ready.device.type, torch.bfloat16):
                tokens = ready.begin(ready.transform(frames)[None])
            kept.append(tokens.x_CND.to(torch.bfloat16))
            if tokens.size_CN1 is not None:
                sizes.append(tokens.size_CN1)
        self.x_VFND = torch.stack(kept)
        self.size_VFN1 = torch.stack(sizes) if sizes else None

    def __getitem__(self, step: int) -> Batch:
        """(tokens (V, F, N, D), sizes or None), a caption per video, and another one."""
        rng = random.Random(f"{self.seed}/captions/{step}")
        chosen = self.pool.batch(step, self.batch, self.seed)
        x = torch.stack([self._way(self.x_VFND[place], back) for place, back, _ in chosen])
        size = self.size_VFN1
        if size is not None:
            size = torch.stack([self._way(size[place], back) for place, back, _ in chosen])
        pairs = [rng.sample(scene.captions, 2) for _, _, scene in chosen]
        return (x.float(), size), [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    @staticmethod
    def _way(frames: Tensor, backwards: bool) -> Tensor:
        return frames.flip(0) if backwards else frames


def _tokens(x_VFND: Tensor, size_VFN1: Tensor | None) -> Tokens:
    size = None if size_VFN1 is None else size_VFN1.flatten(0, 1)
    return Tokens(x_VFND.flatten(0, 1), size, clips_per_video=x_VFND.shape[1])


class ContrastiveTask(lightning.LightningModule):
    """One retriever, one recipe, one loss."""

    def __init__(self, retriever: Retriever, recipe: Recipe) -> None:
        super().__init__()
        self.retriever, self.recipe = retriever, recipe

    def training_step(self, batch: Batch, number: int) -> Tensor:  # noqa: ARG002
        """Frames and captions -> loss."""
        frames, captions, paraphrases = batch
        videos = self._videos(frames)
        texts = self.retriever.encode_texts(captions)
        scale = self.retriever.clip.logit_scale
        loss = contrastive_loss(texts, videos, scale)
        if self.recipe.paraphrase:
            others = self.retriever.encode_texts(paraphrases)
            told = contrastive_loss(texts, others, scale)
            self.log("paraphrase_loss", told, batch_size=len(captions))
            loss = loss + self.recipe.paraphrase * told
        self.log("loss", loss, prog_bar=True, batch_size=len(captions))
        self.log("logit_scale", scale, batch_size=len(captions))
        return loss

    def _videos(self, frames: Any) -> Tensor:
        if not isinstance(frames, tuple | list):
            return self.retriever.encode_videos(self.retriever.transform(frames))
        return self.retriever.encode_begun(_tokens(*frames))

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the temperature where CLIP keeps it."""
        with torch.no_grad():
            self.retriever.clip.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)

    def configure_optimizers(self) -> Any:
        """AdamW over what requires gradients, and the schedule by step."""
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self._settings_of(name, parameter), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": parameters, "lr": rate, "weight_decay": decay}
                for (rate, decay), parameters in groups.items()
            ],
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
        )
        schedule = warmup_cosine_schedule(
            optimizer, total_steps=self.recipe.steps, warmup=self.recipe.warmup
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _settings_of(self, name: str, parameter: Tensor) -> tuple[float, float]:
        """Learning rate and weight decay of one parameter."""
        recipe = self.recipe
        others = (rate for part, rate in recipe.rates.items() if part in name)
        is_decayed = recipe.decay_vectors or parameter.ndim >= 2
        return next(others, recipe.learning_rate), recipe.weight_decay if is_decayed else 0.0


def fit(
    retriever: Retriever,
    batches: Batches,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int = 0,
    show_progress: bool = True,
) -> Retriever:
    """Train `retriever` in place and return it, ready to encode.

    Logs (CSV and TensorBoard) and checkpoints go to `folder`; where a checkpoint lies there, the
    run goes on from it.
    """
    lightning.seed_everything(seed, verbose=False)
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    precision = resolve(recipe.precision, torch.device(accelerator))
    last = folder / CHECKPOINT
    keeper = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        every_n_train_steps=recipe.save_every,
        enable_version_counter=False,
    )
    watchers = [keeper, LearningRateMonitor("step")]
    trainer = lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        precision="32-true" if precision == "fp32" else "bf16-mixed",
        max_steps=recipe.steps,
        max_epochs=1,
        gradient_clip_val=recipe.clip_norm,
        logger=[CSVLogger(folder, name="", version="csv"), TensorBoardLogger(folder, name="")],
        callbacks=[*watchers, RichProgressBar()] if show_progress else watchers,
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,
    )
    retriever.train()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # advice about workers and loggers
        try:
            trainer.fit(
                ContrastiveTask(retriever, recipe),
                Stream(batches, recipe.steps),
                ckpt_path=str(last) if last.exists() else None,
                weights_only=True,
            )
        except SystemExit as end:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from end
    return retriever.eval()
