"""A saved retriever made ready while it is read: the same features and names, in less memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from small_models import pixels, small
from tempme.backbones.backbone import made_of
from tempme.backbones.packed import PackedLinear, can_pack
from tempme.backbones.undrawn import Undrawn
from tempme.engines.choice import EngineChoice
from tempme.errors import BadWeights
from tempme.index import Index
from tempme.retriever import frugal
from tempme.retriever.frugal import OTHER, Side, load_ready, load_side, side_of
from tempme.retriever.retriever import Retriever
from tempme.weights import on_disk
from tempme.weights.on_disk import TensorsOnDisk

pytestmark = pytest.mark.skipif(
    not can_pack(torch.device("cpu")), reason="this PyTorch packs nothing"
)
FP32, BF16 = EngineChoice("torch", "fp32"), EngineChoice("torch", "bf16")


def saved(folder: Path, name: str, *, half: bool = False) -> Path:
    return small(name).save(folder / name, whole=True, half=half)


@pytest.mark.parametrize(
    ("name", "choice"), [("tempme", FP32), ("tempme", BF16), ("lora", FP32), ("clip4clip", BF16)]
)
@torch.inference_mode()
def test_it_is_what_loading_first_gives(name: str, choice: EngineChoice, tmp_path: Path) -> None:
    folder = saved(tmp_path, name)
    ours = load_ready(folder, choice, fingerprint="")
    assert ours is not None
    theirs = Retriever.load(folder).for_inference(choice.precision, choice.engine)
    assert ours.fingerprints == theirs.fingerprints
    assert (ours.precision, ours.is_folded) == (theirs.precision, theirs.is_folded)
    assert not any(p.requires_grad for p in ours.parameters())
    own, their = ours.backbone.state_dict(), theirs.backbone.state_dict()
    assert own.keys() == their.keys()
    for key, value in own.items():
        value = value.to_dense() if value.is_mkldnn else value
        assert value.dtype == their[key].dtype, key
        assert torch.equal(value, their[key]), key
    assert any(isinstance(part, PackedLinear) for part in ours.modules())
    videos = pixels(2)
    assert torch.equal(ours.encode_videos(videos), theirs.encode_videos(videos))
    assert torch.equal(ours.encode_texts(["a dog"]), theirs.encode_texts(["a dog"]))


@pytest.mark.parametrize("side", ["vision", "text"])
@torch.inference_mode()
def test_one_side_of_a_loaded_one_is_made_ready(side: Side) -> None:
    loaded = small("tempme")
    ready, ours = loaded.for_inference("fp32"), side_of(loaded, side)
    assert ours.fingerprints == ready.fingerprints
    assert (ours.precision, ours.is_folded) == (ready.precision, ready.is_folded)
    assert not list(ours.backbone.get_submodule(OTHER[side]).parameters())
    if side == "vision":
        assert torch.equal(ours.encode_videos(pixels(2)), ready.encode_videos(pixels(2)))
    else:
        assert torch.equal(ours.encode_texts(["a dog"]), ready.encode_texts(["a dog"]))


@pytest.mark.parametrize("choice", [FP32, BF16])
@torch.inference_mode()
def test_a_side_alone_encodes_as_the_whole_model_and_nothing_else(
    choice: EngineChoice, tmp_path: Path
) -> None:
    folder = saved(tmp_path, "tempme")
    sides: tuple[Side | None, ...] = (None, "vision", "text")
    found = [load_side(side, folder, choice, fingerprint="") for side in sides]
    whole, seeing, reading = (one[0] for one in found if one is not None)
    assert whole.fingerprints == seeing.fingerprints == reading.fingerprints
    videos, texts = pixels(2), ["a dog", "a red circle"]
    assert torch.equal(seeing.encode_videos(videos), whole.encode_videos(videos))
    assert torch.equal(reading.encode_texts(texts), whole.encode_texts(texts))
    for one, other in ((seeing, "text."), (reading, "vision.")):
        held = [name for name, value in one.backbone.state_dict().items() if not value.is_meta]
        assert held
        assert not any(name.startswith(other) for name in held)
    with pytest.raises((RuntimeError, NotImplementedError)):
        seeing.encode_texts(texts).float().cpu()
    with pytest.raises((RuntimeError, NotImplementedError)):
        reading.encode_videos(videos).float().cpu()


def test_what_is_known_of_a_file_is_not_looked_at_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path, "tempme")
    first = load_side("vision", folder, FP32, fingerprint="")
    assert first is not None
    read: list[str] = []

    class Noting(TensorsOnDisk):
        def __getitem__(self, name: str) -> torch.Tensor:
            read.append(name)
            return super().__getitem__(name)

    monkeypatch.setattr(frugal, "TensorsOnDisk", Noting)
    second = load_side("text", folder, FP32, fingerprint="", known=first[1])
    assert second is not None
    assert second[0].fingerprints == first[0].fingerprints
    assert read
    assert not any(name.startswith("vision.") for name in read)
    learnt = Retriever.load(folder)
    with torch.no_grad():
        learnt.backbone.logit_scale += 1
    other = learnt.save(tmp_path / "other", whole=True)
    (other / "weights.safetensors").replace(folder / "weights.safetensors")
    third = load_side("text", folder, FP32, fingerprint="", known=first[1])
    assert third is not None
    assert third[0].fingerprints != first[0].fingerprints
    assert third[1] != first[1]


def test_to_read_a_side_alone_loads_no_compiler(tmp_path: Path) -> None:
    """Folding weights that have no numbers does: a second, and 70 MB."""
    folder = saved(tmp_path, "tempme")
    code = (
        "import sys; from tempme.engines.choice import EngineChoice; "
        "from tempme.retriever.frugal import load_side; choice = EngineChoice('torch', 'fp32'); "
        "assert load_side('vision', sys.argv[1], choice, fingerprint='') is not None; "
        "assert not {'sympy', 'torch._dynamo'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_weights_in_half_have_the_names_that_they_had(tmp_path: Path) -> None:
    folder = saved(tmp_path, "tempme", half=True)
    ours = load_ready(folder, FP32, fingerprint="")
    assert ours is not None
    assert ours.fingerprints == Retriever.load(folder).fingerprints


def test_what_cannot_be_read_so_is_left_to_loading(tmp_path: Path) -> None:
    for name in ("dgl", "mv-adapter"):  # parts of theirs belong to several layers
        assert load_ready(saved(tmp_path, name), FP32, fingerprint="") is None
    folder = saved(tmp_path, "tempme")
    assert load_ready(folder, EngineChoice("torch", "bf16-mixed"), fingerprint="") is None
    assert load_ready("openai/clip-vit-base-patch32", FP32, fingerprint="") is None
    weights = folder / "weights.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[:-100], b"", whole[:8] + b"{" * 50):
        weights.write_bytes(damaged)
        assert load_ready(folder, FP32, fingerprint="") is None
    weights.unlink()
    assert load_ready(folder, FP32, fingerprint="") is None


def test_numbers_that_are_none_are_left_to_loading(tmp_path: Path) -> None:
    broken = Retriever.load(saved(tmp_path, "tempme"))
    with torch.no_grad():
        broken.backbone.vision.ln_post.weight[0] = float("nan")
    folder = broken.save(tmp_path / "broken", whole=True)
    assert load_ready(folder, FP32, fingerprint="") is None


def test_an_index_reads_its_own_model_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path, "tempme")
    made = Index.open(tmp_path / "index", create=str(folder))
    monkeypatch.setattr("tempme.index.model.load_source", None)  # it would be called
    retriever = made.retriever
    assert retriever.fingerprint == made.header.fingerprint
    assert any(isinstance(part, PackedLinear) for part in retriever.modules())  # type: ignore


@pytest.mark.parametrize("pass_bytes", [1, 5000, on_disk.PASS_BYTES])
def test_tensors_are_read_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pass_bytes: int
) -> None:
    monkeypatch.setattr(on_disk, "PASS_BYTES", pass_bytes)
    folder = saved(tmp_path, "tempme")
    source, state = TensorsOnDisk(folder / "weights.safetensors"), small("tempme").backbone
    shapes = source.shapes()
    for name, value in state.state_dict().items():
        assert shapes[name] == tuple(value.shape)
        assert torch.equal(source[name], value)
    with pytest.raises(KeyError):
        source["nothing"]


def test_a_file_that_is_another_one_by_now_is_refused_and_not_mixed(tmp_path: Path) -> None:
    folder = saved(tmp_path, "tempme")
    file = folder / "weights.safetensors"
    whole = file.read_bytes()
    for change in ("replaced", "cut"):
        source = TensorsOnDisk(file)
        if change == "replaced":
            other = tmp_path / "other"
            other.write_bytes(whole)
            other.replace(file)
        else:
            os.truncate(file, 100)  # a map of it would end the process
        with pytest.raises(BadWeights, match="written anew while it was read"):
            source[next(iter(source))]


def test_undrawn_modules_draw_nothing_and_keep_their_constants() -> None:
    config = small("tempme").backbone.config
    before = torch.random.get_rng_state()
    with Undrawn():
        made = made_of(config)
    assert torch.equal(torch.random.get_rng_state(), before)
    drawn = made_of(config).state_dict()
    constant = [n for n, v in drawn.items() if v.numel() > 1 and bool((v == v.flatten()[0]).all())]
    assert len(constant) > 8
    for name in constant:
        assert torch.equal(made.state_dict()[name], drawn[name]), name
