"""PyTorch functions as ONNX files, in fp32 or with linear layers in 8 bits.

A stable sort has no converter in torch.onnx: ONNX's TopK over all places is one, which among equals
puts the first one first. All else is what the library makes of the same code that runs in PyTorch,
so that merging is written once. Shapes are fixed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch

from tempme.engines.graphs import Example
from tempme.engines.quiet import quietly

OPSET = 18  # from 23 on attention is one operation, which ONNX Runtime refuses our bias in


@torch.no_grad()
def write_onnx(example: Example, path: Path, *, precision: str) -> None:
    """Write a function as one file. precision: "fp32", or "int8" for weights of linear layers.

    Their inputs are rounded to 8 bits as well, each tensor by its own range when it runs; weights
    by the range of each output, to 7 bits, since two products of 8 bits can overflow on processors
    without instructions for them.
    """
    with TemporaryDirectory() as folder:
        plain, simple = Path(folder) / "plain.onnx", Path(folder) / "simple.onnx"
        with quietly():
            exported = torch.export.export(example.function, example.arrays, strict=False)
            program = torch.onnx.export(
                exported,
                example.arrays,
                dynamo=True,
                optimize=False,  # ONNX Runtime's own is as good here, and ten times as quick
                opset_version=OPSET,
                input_names=example.inputs,
                output_names=example.outputs,
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort()},
                verbose=False,
            )
            assert program is not None
            program.save(str(plain))
            if precision == "fp32":
                _simplify(plain, path)
                return
            _simplify(plain, simple)
            _round_weights(simple, path)


def _stable_sort() -> Any:
    from onnxscript import opset18 as onnx

    def sort(self: Any, *, stable: Any = None, dim: int = -1, descending: bool = False) -> Any:
        del stable  # ONNX's is
        every = onnx.Constant(value_ints=[int(self.shape[dim])])
        return onnx.TopK(self, cast("Any", every), axis=dim, largest=int(descending), sorted=1)

    return sort


def _simplify(source: Path, target: Path) -> None:
    """Fold what is constant, on any machine alike."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _round_weights(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises on the root logger what was done already
    try:
        quantize_dynamic(
            str(source),
            str(target),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
    finally:
        logging.disable(logging.NOTSET)
