"""Every compression on ONNX Runtime: the features of PyTorch, frames shared between windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from small_models import TEXTS, pixels, small
from tempme.errors import BadSetting, MissingExtra, UnknownName

pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
pytest.importorskip("onnxscript", reason="needs tempme[onnx]")

# The features are of unit length: this is the rounding of sums in another order, measured 3e-7.
EXACT = 5e-6
COMPRESSIONS = ("lora", "tome", "evit", "diffrate", "sta", "testa", "tempme")


@pytest.mark.slow  # torch.export of two towers: some seconds a system
@pytest.mark.parametrize("name", COMPRESSIONS)
@torch.inference_mode()
def test_features_are_those_of_pytorch(name: str) -> None:
    model, given = small(name), pixels(3)
    ready = model.for_inference("fp32", "onnx")
    assert (ready.engine.name, ready.precision) == ("onnx", "fp32")
    for ours, theirs in (
        (ready.encode_videos(given), model.encode_videos(given)),
        (ready.encode_texts(TEXTS), model.encode_texts(TEXTS)),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=EXACT)
    assert ready.fingerprints == model.fingerprints


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPRESSIONS)
@torch.inference_mode()
def test_windows_share_the_frames_of_the_first_blocks(name: str) -> None:
    model = small(name)
    ready = model.for_inference("fp32", "onnx")
    frames = model.transform(pixels(1, frames=9)[0])
    windows = torch.stack([torch.arange(6) + start for start in (0, 1, 3)])
    torch.testing.assert_close(
        ready.encode_windows(frames, windows),
        model.encode_windows(frames, windows),
        rtol=0,
        atol=EXACT,
    )
    alone = model.backbone.vision.frame_layers
    assert ("frames" in ready.engine.functions) == (alone > 0)


@pytest.mark.slow
@torch.inference_mode()
def test_frames_go_through_the_first_blocks_once() -> None:
    ready = small("tempme").for_inference("fp32", "onnx")
    calls: list[int] = []
    of_frames = ready.engine.functions["frames"]

    def counted(*arrays: np.ndarray, threads: int) -> list[np.ndarray]:
        calls.append(len(arrays[0]))
        return of_frames(*arrays, threads=threads)

    engine = replace(ready.engine, functions={**ready.engine.functions, "frames": counted})
    frames = ready.transform(pixels(1, frames=12)[0]).numpy()
    windows = np.stack([np.arange(6) + start for start in range(7)])
    engine.encode_windows(frames, windows)
    assert calls == [6, 6]  # twelve distinct frames, though seven windows show 42


@pytest.mark.slow
@torch.inference_mode()
def test_int8_is_near_and_depends_on_no_other_video() -> None:
    model, given = small("tempme"), pixels(4)
    ready = model.for_inference("int8", "auto")
    assert (ready.engine.name, ready.precision) == ("onnx", "int8")
    ours, theirs = ready.encode_videos(given), model.encode_videos(given)
    assert not torch.equal(ours, theirs)
    assert (ours * theirs).sum(dim=1).mean() > 0.98
    torch.testing.assert_close(ready.encode_videos(given[2:3]), ours[2:3], rtol=0, atol=0)
    assert (ready.encode_texts(TEXTS) * model.encode_texts(TEXTS)).sum(dim=1).min() > 0.99


@pytest.mark.slow
def test_a_model_on_an_engine_stays_there() -> None:
    ready = small("tempme").for_inference("fp32", "onnx")
    assert ready.for_inference() is ready
    assert ready.for_inference("fp32") is ready
    with pytest.raises(BadSetting, match="runs on the engine onnx in fp32"):
        ready.for_inference("bf16")
    with pytest.raises(BadSetting, match="mask"):
        ready.encode_videos(pixels(1), torch.tensor([[1, 1, 0, 1, 1, 1]]))
    with pytest.raises(BadSetting, match="made for 12"):
        ready.encode_texts(torch.ones(1, 14, dtype=torch.int64))
    assert ready.encode_texts([]).shape == (0, 16)
    assert ready.encode_videos(np.empty((0, 6, 64, 64, 3), np.uint8)).shape == (0, 16)


def test_names_that_do_not_go_together() -> None:
    model = small("tempme")
    with pytest.raises(UnknownName, match="no engine 'onyx'; did you mean 'onnx'"):
        model.for_inference(engine="onyx")
    with pytest.raises(BadSetting, match="the engine torch has no int8; it has fp32, bf16"):
        model.for_inference("int8", "torch")
    with pytest.raises(BadSetting, match="bf16 is of torch and openvino"):
        model.for_inference("bf16", "onnx")


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from tempme.engines import extras

    monkeypatch.setitem(extras.NEEDED, "onnx", ("onnxruntime", "no_such_package"))
    with pytest.raises(MissingExtra, match=r"\(no_such_package\): pip install 'tempme\[onnx\]'"):
        small("tempme").for_inference("int8")
