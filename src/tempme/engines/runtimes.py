"""Files of functions -> functions: one loader an engine, a literal table.

A program of an engine is opened for a number of threads and keeps it. How many cores are free
changes while a run decodes, so a function is told with each call, and opens its program again for
a number that is new to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tempme.engines.choice import ONNX, OPENVINO, TORCH
from tempme.processes.cores import num_cores

# Numbers of threads for which a program stays open: the one while others decode, and all.
NUMBERS_KEPT = 2
SUFFIXES: Mapping[str, str] = MappingProxyType({ONNX: ".onnx", OPENVINO: ".xml", TORCH: ".pt2"})

Program = TypeVar("Program")


class Function(Protocol):
    """What a file of an engine holds."""

    def __call__(self, *arrays: NDArray[Any], threads: int) -> list[NDArray[Any]]:
        """Arrays in the order of the inputs -> arrays in that of the outputs, in `threads`."""
        ...


class _ByThreads(Generic[Program]):
    """A program, opened for each number of threads asked for; the last two of them stay."""

    def __init__(self, opened: Callable[[int], Program]) -> None:
        self._opened, self._lock = opened, Lock()
        self._programs: dict[int, Program] = {}

    def of(self, threads: int) -> Program:
        """The program for so many threads."""
        with self._lock:
            program = self._programs.pop(threads, None)
            while len(self._programs) >= NUMBERS_KEPT:
                del self._programs[next(iter(self._programs))]
            program = self._opened(threads) if program is None else program
            self._programs[threads] = program  # last: used last
            return program


def open_function(
    engine: str, path: Path, precision: str, *, threads: int | None = None
) -> Function:
    """The function in a file, ready for so many threads; None: as many as there are cores."""
    return _LOADERS[engine](path, precision, num_cores() if threads is None else threads)


def _onnx(path: Path, precision: str, threads: int) -> Function:
    del precision  # it is in the file
    sessions = _ByThreads(lambda number: _session(path, number))
    first = sessions.of(threads)
    names = [one.name for one in first.get_inputs()]

    def run(*arrays: NDArray[Any], threads: int) -> list[NDArray[Any]]:
        session = sessions.of(threads)
        made: list[NDArray[Any]] = session.run(None, dict(zip(names, arrays, strict=True)))
        return made

    return run


def _session(path: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait for work sleep: they would take cores from processes that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _openvino(path: Path, precision: str, threads: int) -> Function:
    models = _ByThreads(lambda number: _compiled(path, precision, number))
    models.of(threads)

    def run(*arrays: NDArray[Any], threads: int) -> list[NDArray[Any]]:
        compiled = models.of(threads)
        # A request of its own: the one that a model keeps serves one caller at a time.
        made = compiled.create_infer_request().infer(list(arrays))
        return [np.array(made[port]) for port in compiled.outputs]

    return run


def _compiled(path: Path, precision: str, threads: int) -> Any:
    import openvino as ov

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return ov.Core().compile_model(str(path), "CPU", settings)


def _torch(path: Path, precision: str, threads: int) -> Function:
    del precision, threads
    import torch

    module = torch.export.load(path).module()

    @torch.inference_mode()
    def run(*arrays: NDArray[Any], threads: int) -> list[NDArray[Any]]:
        del threads  # PyTorch has its own number for all that it does in a thread
        made = module(*map(torch.from_numpy, arrays))
        return [one.numpy() for one in (made if isinstance(made, tuple | list) else (made,))]

    return run


_LOADERS: Mapping[str, Callable[[Path, str, int], Function]] = MappingProxyType(
    {ONNX: _onnx, OPENVINO: _openvino, TORCH: _torch}
)
