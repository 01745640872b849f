"""Files of tensors: in the format of safetensors, and nothing beside them in the making."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from tempme.atomic import replacing
from tempme.weights.saving import TYPES, save_tensors


def some_tensors() -> dict[str, torch.Tensor]:
    drawn = {f"of {dtype}": torch.arange(6).reshape(2, 3).to(dtype) for dtype in TYPES}
    return {
        **drawn,
        "turned": torch.randn(3, 4).t(),
        "one": torch.tensor(3.5),
        "none": torch.empty(0, 7),
        "mit Umlaut: \u00e4": torch.randn(1, dtype=torch.float16),
    }


def test_a_file_is_the_one_that_safetensors_writes(tmp_path: Path) -> None:
    drawn = some_tensors()
    state = {name: tensor.contiguous() for name, tensor in drawn.items()}
    save_tensors(drawn, tmp_path / "a", metadata={"format": "pt"})
    (tmp_path / "b").write_bytes(save(state, metadata={"format": "pt"}))
    ours, theirs = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert ours.keys() == theirs.keys() == state.keys()
    for name, tensor in state.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], theirs[name])
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_tensors_that_share_memory_are_written_each(tmp_path: Path) -> None:
    whole = torch.randn(4, 2)
    save_tensors({"whole": whole, "half": whole[:2], "other": whole}, tmp_path / "a")
    found = load_file(tmp_path / "a")
    assert torch.equal(found["half"], whole[:2])
    assert torch.equal(found["other"], whole)


def test_what_is_written_is_the_draft_that_is_locked(tmp_path: Path) -> None:
    """What a killed process leaves is then a draft that the next one knows."""
    with replacing(tmp_path / "a.safetensors") as draft:
        before = draft.stat().st_ino
        save_tensors(some_tensors(), draft)
        assert draft.stat().st_ino == before
        assert list(tmp_path.iterdir()) == [draft]
