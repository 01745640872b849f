"""Engines run in as many threads as PyTorch would: few while others decode, all afterwards."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import TEXTS, pixels, small
from tempme.engines.engine import Engine
from tempme.engines.runtimes import NUMBERS_KEPT, open_function
from tempme.processes import cores
from tempme.processes.cores import sharing_cores
from tempme.retriever import by_engine

SIZE = 8


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """The file of a function: a row times a matrix of twos."""
    onnx = pytest.importorskip("onnx", reason="needs tempme[onnx]")
    pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
    number = onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", number, [1, SIZE])],
        [onnx.helper.make_tensor_value_info("y", number, [1, SIZE])],
        [onnx.numpy_helper.from_array(np.full((SIZE, SIZE), 2, np.float32), "w")],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    path = tmp_path / "product.onnx"
    onnx.save(onnx.helper.make_model(made, opset_imports=opset, ir_version=9), path)
    return path


def num_tasks() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of the system")
def test_onnx_runtime_has_the_threads_of_a_call(product: Path) -> None:
    before = num_tasks()
    function = open_function("onnx", product, "fp32", threads=1)
    row = np.ones((1, SIZE), np.float32)
    for threads, kept in ((1, 0), (4, 3), (1, 3), (6, 5), (1, 5), (2, 1)):
        (made,) = function(row, threads=threads)
        assert made.tolist() == [[2.0 * SIZE] * SIZE]
        # The caller is one of them; of the programs that are kept, one has a single thread.
        assert num_tasks() - before == kept, threads
    assert NUMBERS_KEPT == 2


def test_openvino_has_the_threads_of_a_call(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ov = pytest.importorskip("openvino", reason="needs tempme[openvino]")
    ov.save_model(ov.convert_model(str(product)), str(product.with_suffix(".xml")))
    asked: list[int] = []
    compile_model = ov.Core.compile_model

    def compiled(self: object, *args: object) -> object:
        made = compile_model(self, *args)
        asked.append(made.get_property("INFERENCE_NUM_THREADS"))
        return made

    monkeypatch.setattr(ov.Core, "compile_model", compiled)
    function = open_function("openvino", product.with_suffix(".xml"), "fp32", threads=2)
    row = np.ones((1, SIZE), np.float32)
    for threads in (2, 1, 2, 1):
        (made,) = function(row, threads=threads)
        assert made.tolist() == [[2.0 * SIZE] * SIZE]
    assert asked == [2, 1]


def told(asked: list[int], *, rows: int) -> Engine:
    """An engine that notes in how many threads it is asked to compute."""

    def function(*arrays: np.ndarray, threads: int) -> list[np.ndarray]:
        asked.append(threads)
        return [np.zeros((len(arrays[0]), rows), np.float32)]

    return Engine("onnx", "fp32", {"windows": function, "texts": function}, 2, 5, rows)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("given", "wanted"), [(None, [1, 3, 1]), (2, [2, 2, 2])])
def test_engines_share_the_cores_with_decoders(
    given: int | None, wanted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = [0.0], list[int]()
    monkeypatch.setattr(cores.time, "monotonic", lambda: now[0])

    def decoded() -> Generator[float]:
        for seconds in (1.0, 0.0, 1.0):  # waited for, there, waited for
            now[0] += seconds
            yield seconds

    engine = told(asked, rows=4)
    frames, windows = torch.zeros(2, 3, 8, 8), torch.zeros(1, 2, dtype=torch.int64)
    for _ in sharing_cores(decoded(), threads=given):
        by_engine.windows_of(engine, frames, windows)
    assert asked == wanted
    asked.clear()
    by_engine.videos_of(engine, frames[None], None)
    by_engine.texts_of(engine, torch.zeros(1, 3, dtype=torch.int64))
    assert asked == [3, 3]  # given back


@pytest.mark.slow
@pytest.mark.usefixtures("three_threads")
@torch.inference_mode()
def test_a_model_on_an_engine_obeys_the_number_of_pytorch() -> None:
    pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
    pytest.importorskip("onnxscript", reason="needs tempme[onnx]")
    ready, asked = small("tempme").for_inference("fp32", "onnx"), set[int]()

    def noting(name: str) -> object:
        def run(*arrays: np.ndarray, threads: int) -> list[np.ndarray]:
            asked.add(threads)
            return ready.engine.functions[name](*arrays, threads=threads)

        return run

    engine = replace(
        ready.engine, functions={name: noting(name) for name in ready.engine.functions}
    )
    videos, ids = ready.transform(pixels(2)), ready.tokenizer(TEXTS, max_words=12)[0]
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append((by_engine.videos_of(engine, videos, None), by_engine.texts_of(engine, ids)))
        assert asked == {threads}
        asked.clear()
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)
