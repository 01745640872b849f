"""Files of weights that would fill the memory, or block, are refused by what they say they hold."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch

from tempme.errors import BadWeights
from tempme.weights import files
from tempme.weights.files import read_contents, read_json


def repacked(path: Path, *, size: int) -> Path:
    """An archive of PyTorch whose numbers are zeros without end, compressed to nearly nothing."""
    torch.save({"a": torch.zeros(10)}, path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            archive.writestr(name, bytes(size) if name.endswith("/data/0") else content)
    return path


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_COMPRESSED_BYTES", 1000)
    path = repacked(tmp_path / "a.pt", size=1_000_000)
    with pytest.raises(BadWeights, match=r"a\.pt unpacks to 1,00.,... bytes, and weights of its"):
        read_contents(path)


@pytest.mark.parametrize("legacy", [True, False])
def test_tensors_that_repeat_their_numbers(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "a.pt"
    state = {"a": torch.zeros(1).expand(10**6, 10**6)}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BadWeights, match="its tensors claim 4,000,000,000,000"):
        read_contents(path)


def test_tied_tensors_are_read(tmp_path: Path) -> None:
    tied = torch.randn(1000)
    torch.save({"a": tied, "b": tied}, tmp_path / "a.pt")
    assert len(read_contents(tmp_path / "a.pt").tensors) == 2


def test_a_pipe_is_no_file_of_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pt")
    with pytest.raises(BadWeights, match="is not an ordinary file"):
        read_contents(tmp_path / "a.pt")


def test_json_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"a":' * 100_000)
    with pytest.raises(BadWeights, match="nested too deeply"):
        read_json(path)
