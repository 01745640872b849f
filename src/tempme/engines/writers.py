"""A function of PyTorch -> the file that an engine reads: one writer an engine, a literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import torch

from tempme.engines.choice import ONNX, OPENVINO, TORCH
from tempme.engines.extras import need
from tempme.engines.graphs import Example
from tempme.engines.onnx_files import write_onnx
from tempme.engines.quiet import quietly


def write_function(engine: str, example: Example, path: Path, precision: str) -> None:
    """Write a function where `open_function` of the engine reads it. MissingExtra."""
    need(engine)
    _WRITERS[engine](example, path, precision)


def _openvino(example: Example, path: Path, precision: str) -> None:
    """The pair of files of OpenVINO, in fp32: bf16 is of the machine that runs it."""
    del precision
    import openvino as ov

    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        write_onnx(example, plain, precision="fp32")
        ov.save_model(ov.convert_model(str(plain)), str(path), compress_to_fp16=False)


@torch.no_grad()
def _torch(example: Example, path: Path, precision: str) -> None:
    del precision
    with quietly():
        exported = torch.export.export(example.function, example.arrays, strict=False)
        torch.export.save(exported, path)


def _onnx(example: Example, path: Path, precision: str) -> None:
    write_onnx(example, path, precision=precision)


_WRITERS: Mapping[str, Callable[[Example, Path, str], None]] = MappingProxyType(
    {ONNX: _onnx, OPENVINO: _openvino, TORCH: _torch}
)
