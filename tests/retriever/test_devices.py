"""Where a model computes: by name, and everything that it needs goes there with it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import tempme
from tempme.engines.choice import EngineChoice
from tempme.errors import BadSetting
from tempme.index import Index
from tempme.retriever import frugal, placing, retriever
from tempme.retriever.placing import device_of
from tiny_systems import texts, tiny

META = torch.device("meta")


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_without_a_gpu_it_is_the_cpu() -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU")
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    with pytest.raises(BadSetting, match=r"device is cuda:1, but PyTorch .* leave it out, or say"):
        device_of("cuda:1")
    with pytest.raises(BadSetting, match="device is mps, but"):
        device_of("mps")


@pytest.mark.parametrize(
    ("cuda", "hip", "why"),
    [
        ("12.8", None, "finds no GPU"),
        (None, "6.4", "finds no GPU"),
        (None, None, "is a build without CUDA"),
    ],
)
def test_why_there_is_no_gpu(
    cuda: str | None, hip: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    with pytest.raises(BadSetting, match=f"device is cuda, but PyTorch {why}"):
        device_of("cuda")


@pytest.mark.usefixtures("four_gpus")
def test_gpus_go_by_their_numbers() -> None:
    assert device_of("auto") == device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:3") == torch.device("cuda", 3)
    with pytest.raises(BadSetting, match="cuda:4, but this machine has cuda:0, cuda:1, cuda:2, c"):
        device_of("cuda:4")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", "", "meta", "cuda:0;cpu"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadSetting, match=r"device is .* it is auto, cpu, cuda, cuda:N"):
        EngineChoice(device=name)


@pytest.mark.parametrize("choice", [("onnx", "auto"), ("auto", "int8"), ("openvino", "bf16")])
def test_engines_of_the_cpu_take_no_gpu(choice: tuple[str, str]) -> None:
    with pytest.raises(BadSetting, match=r"computes on the CPU: leave the device cuda:0 out"):
        EngineChoice(*choice, device="cuda:0")
    assert EngineChoice(*choice, device="cpu").device == "cpu"


@pytest.mark.parametrize("name", ["tempme", "clip4clip", "clip4clip-seqtransf", "evit", "dgl"])
def test_all_that_encoding_needs_is_on_the_device(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On `meta` nothing is computed, but an operand from elsewhere is an error there, too."""
    here = tiny(name)
    monkeypatch.setattr(retriever, "device_of", lambda _: META)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    there = here.for_inference("fp32", device="cuda")
    assert {part.device for part in there.backbone.parameters()} == {META}
    assert here.device.type == "cpu"
    count, size = there.num_frames, there.image_size
    pixels = there.transform(torch.zeros(2, count, size, size, 3, dtype=torch.uint8))
    windows = torch.arange(count)[None].expand(3, count)
    features = (
        there.encode_videos(pixels),
        there.encode_windows(pixels[0], windows),
        there.encode_texts(texts(2)),
    )
    assert [(one.device, len(one)) for one in features] == [(META, 2), (META, 3), (META, 2)]


def test_on_a_gpu_no_engine_of_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def told(_: object, choice: EngineChoice, *, on_cpu: bool) -> EngineChoice:
        asked.append(on_cpu)
        return EngineChoice("torch", "fp32", choice.device)

    monkeypatch.setattr(retriever, "chosen", told)
    monkeypatch.setattr(retriever, "device_of", lambda _: META)
    tiny("tempme").for_inference(device="cuda")
    tiny("tempme").for_inference()
    assert asked == [False, True]


def test_an_index_computes_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def told(name: str) -> torch.device:
        asked.append(name)
        return placing.device_of("cpu")

    for module in (retriever, frugal):
        monkeypatch.setattr(module, "device_of", told)
    running = EngineChoice(device="cuda:1")
    Index.create(tmp_path / "a.tempme", tempme.load("scenes-tiny"), source="scenes-tiny")
    assert Index.open(tmp_path / "a.tempme", running=running).retriever.num_frames == 12
    assert set(asked) == {"cuda:1"}
