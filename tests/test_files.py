"""What stood in a place stays until all that replaces it is written."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import tempme
from learning import moved
from tempme.atomic import replacing
from tempme.errors import BadWeights
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.training.checkpoints import WholeCheckpoints
from tiny_systems import TINY


@contextmanager
def little_room(size: int = 100_000) -> Iterator[None]:
    """Meanwhile no file can grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_text(path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text("x" * 1_000_000)


def write_checkpoint(path: Path) -> None:
    WholeCheckpoints().save_checkpoint({"state": torch.ones(1_000_000)}, path)


def write_retriever(path: Path) -> None:
    moved(Retriever.build(zoo.system("lora", backbone=TINY), None, seed=0)).save(path.parent)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_text, "films é 🎬.json"),
        (write_checkpoint, "last.ckpt"),
        (write_retriever, "weights.safetensors"),
    ],
)
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, write: Callable[[Path], None], name: str
) -> None:
    path = tmp_path / "new" / name
    write(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with little_room(), pytest.raises(OSError, match="too large") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def _stopped_half_way(draft: Path) -> None:
    draft.write_text("half")
    raise KeyboardInterrupt


def test_other_errors_leave_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(path) as draft:
        _stopped_half_way(draft)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "before"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    path = tmp_path / "taken" / "a.txt"
    with pytest.raises(FileExistsError) as caught, replacing(path) as draft:
        draft.write_text("never")
    assert caught.value.filename == str(path)


def test_saving_again_leaves_what_a_reader_has_open(tmp_path: Path) -> None:
    first = moved(Retriever.build(zoo.system("lora", backbone=TINY), None, seed=0))
    held = (first.save(tmp_path) / "weights.safetensors").open("rb")
    moved(first).save(tmp_path)
    assert tempme.load(tmp_path).fingerprint == first.fingerprint
    assert held.read() != (tmp_path / "weights.safetensors").read_bytes()
    held.close()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "text", "cut"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(path)
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(BadWeights, match=r"last\.ckpt, which is damaged: remove it"):
        WholeCheckpoints().load_checkpoint(path, weights_only=True)
