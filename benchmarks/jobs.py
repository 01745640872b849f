"""What only benchmarks use: jobs to be timed, and what of the machine they are held against."""

from __future__ import annotations

import multiprocessing
import os
from argparse import ArgumentParser, Namespace
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tempme.evaluation.timing import Encoding, clock, encoding, in_turns
from tempme.results.runs import peak_memory_bytes
from tempme.retriever import precision as numbers
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.systems.table import system
from tempme.tuning.layers import Borrowed
from tempme.tuning.vop_layers import Context, Contextual

# Products of these shapes are as large as those of ViT-B, and larger: (rows, inside, columns).
_PRODUCTS = ((600, 768, 3072), (2400, 768, 3072), (2048, 2048, 2048))

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Prompts = Literal["given", "made"]
RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def asked(parser: ArgumentParser, *, rounds: int) -> Namespace:
    """What a person asks for, with --rounds, --threads and --out; PyTorch takes those threads."""
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


@dataclass(frozen=True)
class TimedJob:
    """One system encoding batches of one size in one precision.

    prompts: "made" in every call, or "given" as constants, where a tuning makes some; None is how
    the system is used: made where they depend on the video (VoP), else made once and folded (DGL).
    """

    system: str
    backbone: str = "ViT-B/32"
    frames: int = 12
    batch: int = 1
    precision: str = "fp32"
    prompts: Prompts | None = None

    def model(self) -> Retriever:
        """The system with random weights, ready to encode."""
        made, makes = Retriever.build(self.row, None, seed=0), self.row.tuning.makes_prompts
        if self.kind_of_prompts == "made" and makes == "once":
            return _unfolded(made, self.precision)
        ready = made.for_inference(self.precision)
        if self.kind_of_prompts == "given" and makes == "of every video":
            _give_prompts(ready, self.frames)
        return ready

    def encoding(self, ready: Retriever) -> Encoding:
        """A batch of noise, to be encoded by the `model` of this job or of another batch."""
        return encoding(ready, self.batch)

    @property
    def row(self) -> System:
        """The system."""
        return system(self.system, backbone=self.backbone, frames=self.frames)

    @property
    def kind_of_prompts(self) -> Prompts | None:
        """How prompts come about in this job; None where none are made at all."""
        makes = self.row.tuning.makes_prompts
        if makes == "never":
            return None
        return self.prompts or ("made" if makes == "of every video" else "given")

    @property
    def gmacs(self) -> float:
        """Giga multiply-adds of a video, as `System.cost` counts them, and of making prompts."""
        cost = self.row.cost()
        if self.kind_of_prompts != "made":
            return cost.gmacs
        once = self.row.tuning.makes_prompts == "once"
        return cost.gmacs + cost.gmacs_prompts / (self.batch if once else 1)


class Shared:
    """Equal tensors of several models, held once: all rows of the table fit into memory."""

    def __init__(self) -> None:
        self._known: dict[object, list[Tensor]] = {}

    def take(self, module: nn.Module) -> None:
        """Let parameters share their numbers with those of the models before."""
        for parameter in module.parameters():
            data = parameter.data
            key = (data.shape, data.dtype, float(data.double().sum()))
            alike = self._known.setdefault(key, [])
            same = next((one for one in alike if torch.equal(one, data)), None)
            if same is None:
                alike.append(data)
            else:
                parameter.data = same


def matmul_peak(precision: str, *, rounds: int = 5) -> float:
    """Giga multiply-adds per second of plain matrix products: the best of shapes and rounds."""
    dtype = numbers.dtype(precision)
    best = 0.0
    for rows, inside, columns in _PRODUCTS:
        a, b = torch.randn(rows, inside, dtype=dtype), torch.randn(inside, columns, dtype=dtype)
        seconds = in_turns({"product": lambda a=a, b=b: a @ b}, rounds=rounds)["product"]  # type: ignore[misc]
        best = max(best, rows * inside * columns / min(seconds) / 1e9)
    return best


def peak_memory(job: TimedJob) -> dict[str, float]:
    """MB that a process of its own holds at most: before it encodes, and while it does."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory_of, job, torch.get_num_threads()).result()


def conditions() -> dict[str, Any]:
    """What a measurement depends on, besides the machine."""
    return {
        "threads": torch.get_num_threads(),
        "clock": clock(),
        "has_bf16_products": numbers.has_bf16("cpu"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def _unfolded(made: Retriever, precision: str) -> Retriever:
    """As `for_inference`, but what makes prompts stays."""
    made.backbone.requires_grad_(False).to(numbers.dtype(precision))
    made.precision = precision
    return made.eval()


class _Given(Context):
    """Prompts of frames that are there before, whatever the frames show."""

    def __init__(self, context: Context, frames: int) -> None:
        nn.Module.__init__(self)
        width, dtype = context.lstm.width, context.out.weight.dtype
        self.value = torch.randn(1, frames, context.prompts, width, dtype=dtype)

    def forward(self, frames_VFD: Tensor) -> Tensor:
        """(1, F, M, D)."""
        del frames_VFD
        return self.value


def _give_prompts(ready: Retriever, frames: int) -> None:
    for module in ready.modules():
        if isinstance(module, Contextual):
            module.context = Borrowed(_Given(module.context.module, frames))


def held(run: Encoding) -> dict[str, float]:
    """MB that this process holds before `run`, and at most while it runs."""
    # Building a model held more than running it may: the mark starts anew (Linux alone can).
    with suppress(OSError):
        _CLEAR.write_text("5")
    before = _status_mb("VmRSS")
    run()
    return {"before_mb": before, "peak_mb": _status_mb("VmHWM")}


def _memory_of(job: TimedJob, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    return held(job.encoding(job.model()))


def _status_mb(key: str) -> float:
    """An entry of this process's status; the highest mark ever where there is no such thing."""
    try:
        lines = _STATUS.read_text("utf-8").splitlines()
    except OSError:
        return round(peak_memory_bytes() / 1e6, 1)
    kib = next(line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return round(int(kib) * 1024 / 1e6, 1)
