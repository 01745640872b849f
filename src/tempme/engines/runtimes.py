"""Files of functions -> functions: one loader an engine, a literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tempme.engines.choice import ONNX, OPENVINO, TORCH
from tempme.processes.cores import num_cores

# Arrays in the order of the inputs -> arrays in that of the outputs.
Function: TypeAlias = Callable[..., list[NDArray[Any]]]
SUFFIXES: Mapping[str, str] = MappingProxyType({ONNX: ".onnx", OPENVINO: ".xml", TORCH: ".pt2"})


def open_function(
    engine: str, path: Path, precision: str, *, threads: int | None = None
) -> Function:
    """The function in a file; threads: None takes the cores that there are."""
    return _LOADERS[engine](path, precision, num_cores() if threads is None else threads)


def _onnx(path: Path, precision: str, threads: int) -> Function:
    del precision  # it is in the file
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that wait for work sleep: they would take cores from processes that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
        made: list[NDArray[Any]] = session.run(None, dict(zip(names, arrays, strict=True)))
        return made

    return run


def _openvino(path: Path, precision: str, threads: int) -> Function:
    import openvino as ov

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = ov.Core().compile_model(str(path), "CPU", settings)

    def run(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
        made = compiled(list(arrays))
        return [np.array(made[port]) for port in compiled.outputs]

    return run


def _torch(path: Path, precision: str, threads: int) -> Function:
    del precision, threads  # PyTorch has its own number for all that it does
    import torch

    module = torch.export.load(path).module()

    @torch.inference_mode()
    def run(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
        made = module(*map(torch.from_numpy, arrays))
        return [one.numpy() for one in (made if isinstance(made, tuple | list) else (made,))]

    return run


_LOADERS: Mapping[str, Callable[[Path, str, int], Function]] = MappingProxyType(
    {ONNX: _onnx, OPENVINO: _openvino, TORCH: _torch}
)
