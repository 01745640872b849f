"""Exported towers, run by the libraries they are for, give the features of the retriever."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import TEXTS, pixels, small
from tempme.engines.folder import NAME
from tempme.errors import BadSetting, BadWeights
from tempme.exporting.formats import export
from tempme.index import Index
from tempme.retriever.retriever import Retriever

EXACT = 5e-6


def transformed(folder: Path, video: np.ndarray) -> np.ndarray:
    """Pixels (F, S, S, 3) as the folder says that they are to be."""
    told = json.loads((folder / "preprocessing.json").read_text())
    assert told["frames"] == len(video)
    assert told["size"] == video.shape[1]
    x = (
        video.astype(np.float32) * np.float32(told["scale"]) - np.float32(told["mean"])
    ) / np.float32(told["std"])
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


@pytest.fixture(scope="module")
def onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="needs tempme[onnx]")
    pytest.importorskip("onnxscript", reason="needs tempme[onnx]")
    folder = tmp_path_factory.mktemp("export") / "onnx"
    files = export(small("tempme").parts, "onnx", folder)
    assert {path.name for path in folder.iterdir()} == set(files)
    return folder


@pytest.mark.slow
@torch.inference_mode()
def test_onnxruntime_gives_the_features(onnx_folder: Path) -> None:
    import onnxruntime

    model, given = small("tempme"), pixels(2)

    def run(name: str, *arrays: np.ndarray) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(onnx_folder / f"{name}.onnx")
        return session.run(
            None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)}
        )

    for video, expected in zip(given, model.encode_videos(given).numpy(), strict=True):
        (feature,) = run("windows", *run("frames", transformed(onnx_folder, video)))
        np.testing.assert_allclose(feature[0], expected, rtol=0, atol=EXACT)
    ids, _ = model.tokenizer(TEXTS, max_words=model.system.max_words)
    for row, expected in zip(ids.numpy(), model.encode_texts(TEXTS).numpy(), strict=True):
        np.testing.assert_allclose(run("texts", row[None])[0][0], expected, rtol=0, atol=EXACT)


@pytest.mark.slow
@torch.inference_mode()
def test_a_folder_loads_as_a_model_and_makes_an_index(onnx_folder: Path, tmp_path: Path) -> None:
    model, read = small("tempme"), Retriever.load(onnx_folder)
    given = pixels(2)
    torch.testing.assert_close(
        read.encode_videos(given), model.encode_videos(given), rtol=0, atol=EXACT
    )
    assert read.fingerprints == model.fingerprints
    assert (read.origin, read.system) == (model.origin, model.system)
    torch.testing.assert_close(read.backbone.logit_scale, model.backbone.logit_scale)
    index = Index.open(tmp_path / "index", retriever=str(onnx_folder), create=True)
    assert Index.open(tmp_path / "index").model.encode(TEXTS).shape == (3, 16)
    assert index.header.fingerprint == model.fingerprint
    assert Retriever.load(tmp_path / "index" / "model").fingerprint == model.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", ["truncated", "missing", "other sizes", "no json", "other engine"]
)
def test_a_damaged_folder_says_so(onnx_folder: Path, tmp_path: Path, damage: str) -> None:
    for path in onnx_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    facts = json.loads((tmp_path / NAME).read_text())
    if damage == "truncated":
        whole = (tmp_path / "windows.onnx").read_bytes()
        (tmp_path / "windows.onnx").write_bytes(whole[: len(whole) // 2])
    elif damage == "missing":
        (tmp_path / "texts.onnx").unlink()
    elif damage == "other sizes":
        (tmp_path / NAME).write_text(json.dumps(facts | {"num_frames": 12}))
    elif damage == "no json":
        (tmp_path / NAME).write_text("{")
    else:
        (tmp_path / NAME).write_text(json.dumps(facts | {"engine": "abacus"}))
    with pytest.raises(BadWeights, match=str(tmp_path)):
        Retriever.load(tmp_path)


@pytest.mark.slow
@torch.inference_mode()
def test_pytorch_reads_its_own_export(tmp_path: Path) -> None:
    model, folder, given = small("tempme"), tmp_path / "torch", pixels(1)
    export(model.parts, "torch", folder)
    frames = torch.export.load(folder / "frames.pt2").module()
    windows = torch.export.load(folder / "windows.pt2").module()
    shown = frames(torch.from_numpy(transformed(folder, given[0])))
    torch.testing.assert_close(windows(*shown), model.encode_videos(given), rtol=0, atol=EXACT)
    read = Retriever.load(folder)
    torch.testing.assert_close(
        read.encode_texts(TEXTS), model.encode_texts(TEXTS), rtol=0, atol=EXACT
    )


@pytest.mark.slow
@torch.inference_mode()
def test_openvino_gives_the_features(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs tempme[openvino]")
    model, folder, given = small("tempme"), tmp_path / "openvino", pixels(2)
    export(model.parts, "openvino", folder)
    read = Retriever.load(folder)
    torch.testing.assert_close(
        read.encode_videos(given), model.encode_videos(given), rtol=0, atol=EXACT
    )
    torch.testing.assert_close(
        read.encode_texts(TEXTS), model.encode_texts(TEXTS), rtol=0, atol=EXACT
    )


@pytest.mark.parametrize(
    ("form", "precision", "reason"),
    [
        ("openai", "int8", "holds weights as they are"),
        ("onnx", "bf16", "--precision is fp32 or int8"),
        ("torch", "int8", "--precision is fp32$"),
    ],
)
def test_a_precision_that_a_format_has_not(
    form: str, precision: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match=reason):
        export(small("tempme").parts, form, tmp_path / "out", precision=precision)
