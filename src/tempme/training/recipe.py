"""How to train: one frozen value, checked when it is born."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tempme.errors import BadSetting

PRECISIONS = ("auto", "fp32", "bf16-mixed", "fp16-mixed")
FORMER_NAMES = {"bf16": "bf16-mixed", "fp16": "fp16-mixed"}  # weights always stayed fp32
OPTIMIZERS = ("adamw", "official")
LOGGERS = ("csv", "tensorboard", "wandb")


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the official TempMe release's, in steps.

    steps, epochs: how long; epochs, where given, are passes over the pairs of a data set.
    batch: pairs that are compared with each other, over all processes.
    warmup is a share of the steps. decay_vectors: weight decay also for biases, norms and
    positions, as in the official code. optimizer: torch's AdamW, or the official code's.
    precision: fp32, or products in half precision over weights in fp32, bf16-mixed or fp16-mixed
    ("auto": bf16-mixed where the machine has instructions for it). rates: other learning rates,
    for parameters whose name holds the key, such as clip_position. paraphrase: weight of a second
    contrastive loss, between two captions of each video, for texts that have to learn order.
    same_video_negatives: two captions of one video in a batch count as negatives of each other,
    as in the published recipes.

    Of UMT alone: matching is the weight of a second loss, whether a text fits a video, with one
    hard negative for each; gather_negatives draws these from all processes. drop_path: how often
    training leaves out either half of the last image block, earlier ones less; dropout: of words
    and of what text blocks add. floor: the share of the learning rate at both ends of the schedule.

    Less memory, the same gradients: micro_batch encodes so many pairs at a time and keeps the
    batch whole (GradCache, Gao et al., 2021); checkpoint_layers keeps only what enters a block.

    average: decay of a running mean of the weights, which is what is then saved; 0 is off.
    validate_every: steps between validations, 0 for the end alone; patience: validations without
    a better R-Sum after which training stops, 0 is never. save_every: steps between checkpoints;
    one always follows the last step.

    keep_freed_memory: on a CPU the whole process keeps what tensors gave back (glibc's mallopt), a
    fifth to a third of a step; False where the process has other work that needs the memory.
    """

    steps: int = 300
    epochs: int | None = None
    batch: int = 128
    learning_rate: float = 6e-4
    weight_decay: float = 0.2
    decay_vectors: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: str = "adamw"
    warmup: float = 0.1
    clip_norm: float = 1.0
    precision: str = "auto"
    rates: Mapping[str, float] = field(default_factory=dict)
    paraphrase: float = 0.0
    same_video_negatives: bool = True
    matching: float = 0.0
    gather_negatives: bool = False
    drop_path: float = 0.0
    dropout: float = 0.0
    floor: float = 0.0
    micro_batch: int = 0
    checkpoint_layers: bool = False
    average: float = 0.0
    validate_every: int = 0
    patience: int = 0
    save_every: int = 50
    keep_freed_memory: bool = True
    loggers: tuple[str, ...] = ("csv", "tensorboard")

    def __post_init__(self) -> None:
        precision = FORMER_NAMES.get(self.precision, self.precision)
        object.__setattr__(self, "precision", precision)
        self._check_numbers()
        self._check_shares()
        for name, value, possible in (
            ("precision", self.precision, PRECISIONS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            *(("loggers", logger, LOGGERS) for logger in self.loggers),
        ):
            if value not in possible:
                raise BadSetting(f"recipe.{name} is {value!r}; possible: {', '.join(possible)}")
        if self.patience and not self.validate_every:
            raise BadSetting(
                "recipe.patience counts validations; set recipe.validate_every to some steps too"
            )

    def _check_shares(self) -> None:
        names = ("warmup", "average", "drop_path", "dropout", "floor")
        shares = {name: [getattr(self, name)] for name in names} | {"betas": list(self.betas)}
        for name, values in shares.items():
            for value in values:
                if not 0 <= value < 1:
                    raise BadSetting(f"recipe.{name} is {value}; it is a share: 0 up to below 1")

    def _check_numbers(self) -> None:
        numbers = {f"rates.{part}": (rate, 0) for part, rate in self.rates.items()}
        for name in ("steps", "epochs", "batch", "save_every"):
            numbers[name] = (getattr(self, name), 1)
        for name in (
            *("micro_batch", "validate_every", "patience", "weight_decay", "paraphrase"),
            "matching",
        ):
            numbers[name] = (getattr(self, name), 0)
        for name, (number, least) in numbers.items():
            if number is not None and not number >= least:
                raise BadSetting(f"recipe.{name} is {number}; it must be {least} or more")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise BadSetting(f"recipe.{name} is {getattr(self, name)}; it must be above 0")
