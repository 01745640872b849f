"""TorchScript archives are read as data, and no pickle of any kind is executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from clip_states import SMALL, assert_same, random_state
from tempme.errors import BadWeights
from tempme.weights.read import read_weights


class Script(nn.Module):
    """A tree of modules that bears the given names, with OpenAI's scalars and mixed precision."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            *parents, leaf = name.split(".")
            module: nn.Module = self
            for parent in parents:
                if not hasattr(module, parent):
                    module.add_module(parent, nn.Module())
                module = module.get_submodule(parent)
            kept = value if "ln_" in name else value.half()
            module.register_parameter(leaf, nn.Parameter(kept))
        self.register_buffer("input_resolution", torch.tensor(32))
        self.register_buffer("context_length", torch.tensor(12))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.logit_scale + torch.ones(2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("compile_", ["trace", "script"])
def test_torchscript_is_read_as_data(
    tmp_path: Path, compile_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = random_state()
    module = Script(state)
    traced = compile_ == "trace"
    compiled = torch.jit.trace(module, torch.ones(2)) if traced else torch.jit.script(module)
    path = tmp_path / "archive.pt"
    compiled.save(str(path))
    monkeypatch.setattr(torch.jit, "load", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    weights = read_weights(path)
    assert_same(weights.state, state)
    assert weights.config == replace(SMALL, activation="quick_gelu")
    assert "OpenAI" in weights.activation_source


@pytest.fixture
def script_archive(tmp_path: Path) -> Callable[..., Path]:
    """A hand-made TorchScript archive with the given data.pkl."""

    def write(data: bytes, **storages: bytes) -> Path:
        path = tmp_path / "hand-made.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", data)
            archive.writestr("x/constants.pkl", b"\x80\x02).")
            for key, content in storages.items():
                archive.writestr(f"x/data/{key[1:]}", content)
        return path

    return write


class Trap:
    """Pickles as a call that leaves a mark when a pickle is executed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_no_pickle_is_ever_executed(tmp_path: Path, script_archive: Callable[..., Path]) -> None:
    mark = tmp_path / "executed"
    trapped = {"visual.conv1.weight": torch.ones(1), "trap": Trap(mark)}
    plain, legacy, bare = (tmp_path / name for name in ("plain.pt", "legacy.pt", "bare.pkl"))
    torch.save(trapped, plain)
    torch.save(trapped, legacy, _use_new_zipfile_serialization=False)
    bare.write_bytes(pickle.dumps(trapped["trap"]))
    script = script_archive(pickle.dumps(trapped["trap"], protocol=2))
    for path in (plain, legacy, bare, script):
        with pytest.raises(BadWeights, match=path.name):
            read_weights(path)
        assert not mark.exists()
    pickle.loads(bare.read_bytes())
    assert mark.exists()  # the trap works


def tensor_pickle(*, count: int, size: int, stride: int, offset: int = 0) -> bytes:
    """data.pkl of a module whose attribute `w` is a float tensor over storage 0."""
    return (
        b"\x80\x02c__torch__\nM\n)\x81}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + b"K%ctQK%c(K%ct(K%ct\x89}tRsb."
        % (count, offset, size, stride)
    )


@pytest.mark.parametrize(
    ("tensor", "content"),
    [
        ({"count": 4, "size": 5, "stride": 1}, b"\0" * 16),  # larger than its storage
        ({"count": 4, "size": 3, "stride": 2}, b"\0" * 16),  # reaches beyond it
        ({"count": 4, "size": 4, "stride": 1, "offset": 1}, b"\0" * 16),
        ({"count": 8, "size": 4, "stride": 1}, b"\0" * 16),  # storage shorter than stated
        ({"count": 4, "size": 100, "stride": 0}, b"\0" * 16),  # grows out of nothing
    ],
)
def test_tensor_outside_its_storage_is_refused(
    script_archive: Callable[..., Path], tensor: dict[str, int], content: bytes
) -> None:
    path = script_archive(tensor_pickle(**tensor), _0=content)
    with pytest.raises(BadWeights, match=r"damaged TorchScript archive: .*storage"):
        read_weights(path)


def test_hand_made_archive_is_read_where_it_is_sound(script_archive: Callable[..., Path]) -> None:
    path = script_archive(tensor_pickle(count=4, size=4, stride=1), _0=b"\0" * 16)
    with pytest.raises(BadWeights, match=r"is not a CLIP: none of its 1 tensors .* the first is w"):
        read_weights(path)
