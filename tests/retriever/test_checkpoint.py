"""Retrievers are saved and come back whole, in part, from a name; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tempme
from clip_states import SMALL, random_state
from learning import moved
from tempme.compression import TempMe
from tempme.errors import BadSetting, BadWeights, TempmeError
from tempme.retriever.checkpoint import save
from tempme.retriever.described import Described, to_toml
from tempme.retriever.names import SYSTEM, WEIGHTS
from tempme.retriever.retriever import Retriever
from tempme.settings import typed
from tempme.systems import table as zoo


def small(name: str = "tempme", frames: int = 4) -> Retriever:
    return moved(
        Retriever.build(zoo.system(name, backbone=SMALL, frames=frames), None, seed=0), by=0.1
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return small().save(tmp_path / "model")


@torch.no_grad()
def test_half_precision_takes_half_the_space(tmp_path: Path, saved: Path) -> None:
    retriever = tempme.load(saved)
    half = save(retriever, tmp_path / "half", whole=True, half=True)
    again = tempme.load(half)
    assert (half / WEIGHTS).stat().st_size < 0.6 * (saved / WEIGHTS).stat().st_size
    assert all(p.dtype == torch.float32 for p in again.parameters())
    frames = torch.randn(1, 4, 3, 32, 32)
    near = torch.cosine_similarity(again.encode_videos(frames), retriever.encode_videos(frames))
    assert near.item() > 0.999


@pytest.mark.parametrize("name", zoo.PAPER)
@pytest.mark.parametrize("backbone", ["ViT-B/16", "scenes-tiny", replace(SMALL, layers=6)])
def test_every_system_can_be_written_down(name: str, backbone: object) -> None:
    made = zoo.system(name, backbone=backbone)  # type: ignore[arg-type]
    assert typed(Described, to_toml(made), "system").system() == made


def test_how_frames_are_fitted_is_written_where_it_is_not_as_ever() -> None:
    """Versions before there was a choice read what is cropped."""
    made = zoo.system("tempme")
    assert "fit" not in to_toml(made)
    assert to_toml(replace(made, fit="pad"))["fit"] == "pad"
    assert typed(Described, to_toml(replace(made, fit="pad")), "system").system().fit == "pad"


def test_joins_can_be_written_down() -> None:
    made = replace(zoo.PAPER["tempme"], compression=TempMe(joins={3: 2, 8: 3}, keep_cross=0.5))
    assert typed(Described, to_toml(made), "system").system() == made


def test_the_tokenizer_comes_along(saved: Path) -> None:
    again = tempme.load(saved)
    assert again.tokenizer.vocab == small().tokenizer.vocab
    assert torch.equal(again.tokenizer(["a dog"])[0], small().tokenizer(["a dog"])[0])


def test_folded_ones_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="save the one it is of"):
        small().for_inference("fp32").save(tmp_path)
    with pytest.raises(BadSetting, match="whole=True"):
        small().save(tmp_path, whole=False)
    assert not list(tmp_path.iterdir())


def test_fingerprints_name_weights_and_settings(saved: Path) -> None:
    retriever = small()
    names = {retriever.fingerprint, small(frames=2).fingerprint, small("tome").fingerprint}
    assert len(names) == 3
    assert tempme.load(saved).fingerprint == tempme.load(saved).fingerprint


def test_plain_weights_are_named_alike_in_every_process(tmp_path: Path) -> None:
    """LoRA starts at random, but from a seed: an index must know its model again."""
    path = tmp_path / "clip.safetensors"
    save_file(random_state(), path)
    torch.manual_seed(1)
    first = tempme.load(path, system_name="tome")
    torch.manual_seed(2)
    again = tempme.load(path, system_name="tome")
    assert first.fingerprint == again.fingerprint
    assert first.system.name == "tome"


def rewritten(folder: Path, old: str, new: str) -> None:
    table = folder / SYSTEM
    table.write_text(table.read_text().replace(old, new))


def retaken(folder: Path, **tensors: torch.Tensor) -> None:
    save_file(load_file(folder / WEIGHTS) | tensors, folder / WEIGHTS)


def lessened(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    del state["logit_scale"]
    save_file(state, folder / WEIGHTS)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda d: (d / WEIGHTS).write_bytes((d / WEIGHTS).read_bytes()[:-100]),
    "no weights": lambda d: (d / WEIGHTS).unlink(),
    "no table": lambda d: (d / SYSTEM).write_text("name = ["),
    "another format": lambda d: rewritten(d, "format = 1", "format = 9"),
    "no such method": lambda d: rewritten(d, '"lora"', '"lorra"'),
    "a tensor less": lessened,
    "a tensor more": lambda d: retaken(d, other=torch.zeros(1)),
    "no number": lambda d: rewritten(d, "frames = 4", 'frames = "four"'),
    "no size": lambda d: rewritten(d, "vocab = 50", "vocab = 1.5"),
    "another size": lambda d: rewritten(d, "vocab = 50", "vocab = 51"),
    "size 0": lambda d: rewritten(d, "text_heads = 2", "text_heads = 0"),
    "std below 0": lambda d: rewritten(d, "std = [\n    0.", "std = [\n    -0."),
    "no name": lambda d: rewritten(d, "name =", "nme ="),
    "no method": lambda d: rewritten(d, "method =", "mthd ="),
    "another setting": lambda d: rewritten(d, "rank = 8", "rnk = 8"),
    "nan": lambda d: retaken(d, logit_scale=torch.tensor(torch.nan)),
    "another shape": lambda d: retaken(d, logit_scale=torch.zeros(3)),
}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("cut", "is not a saved retriever"),
        ("no weights", "is not a saved retriever"),
        ("no table", "is not a saved retriever"),
        ("another format", "has format 9"),
        ("no such method", "did you mean 'lora'"),
        ("a tensor less", "logit_scale is missing"),
        ("a tensor more", "other is unknown"),
        ("no number", r"system\.toml\.frames is 'four': it should be a valid integer"),
        ("no size", "backbone.vocab is 1.5"),
        ("another size", r"token_embedding.weight is \(50, 128\), not \(51, 128\)"),
        ("size 0", "text_heads is 0; every size is 1 or more"),
        ("std below 0", "so above 0"),
        ("no name", "did you mean 'name'"),
        ("no method", "no tuning 'None'"),
        ("another setting", "did you mean 'rank'"),
        ("nan", "logit_scale holds values that are not finite"),
        ("another shape", r"does not fit .*logit_scale is \(3,\), not \(\)"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, says: str, saved: Path) -> None:
    DAMAGES[kind](saved)
    with pytest.raises(TempmeError, match=says):
        tempme.load(saved)


def test_a_tokenizer_of_another_model_is_refused_where_it_is_needed(saved: Path) -> None:
    retriever = tempme.load(saved)
    assert retriever.tokenizer.vocab > SMALL.vocab
    with pytest.raises(BadWeights, match="knows 49408 ids, the text encoder 50"):
        retriever.encode_texts(["a dog"])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises((BadWeights, BadSetting)):
        tempme.load(tmp_path)
