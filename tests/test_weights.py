"""Every published layout of CLIP is read as one, and what is no whole CLIP is refused."""

from __future__ import annotations

import json
import math
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clip_states import SMALL, assert_same, random_state
from safetensors.torch import save_file
from torch import Tensor, nn

from tempme.clip.model import Clip
from tempme.clip.sizes import resize_positions
from tempme.clip.weights import Weights, read_weights
from tempme.errors import BadSetting, BadWeights


def without(state: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name not in names}


# --- OpenAI's names in every container ---------------------------------------------------


def as_custom_text(state: dict[str, Tensor]) -> dict[str, Tensor]:
    outside = ("visual.", "logit_scale")
    return {n if n.startswith(outside) else f"text.{n}": v for n, v in state.items()}


def as_data_parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in state.items()}


def with_buffers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    buffers = {"attn_mask": torch.full((12, 12), -math.inf), "context_length": torch.tensor(12)}
    return {**state, **buffers, "logit_scale": state["logit_scale"].reshape(1)}


FORMS: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "plain": dict,
    "custom text": as_custom_text,
    "data parallel": as_data_parallel,
    "buffers": with_buffers,
    "half": lambda state: {name: value.half() for name, value in state.items()},
    "parameters": lambda state: {name: nn.Parameter(value) for name, value in state.items()},
}
WRITERS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "clip.safetensors": save_file,
    "clip.pt": torch.save,
    "wrapped.bin": lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
    "legacy.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("writer", WRITERS)
def test_every_container_gives_the_same_weights(tmp_path: Path, form: str, writer: str) -> None:
    state = random_state()
    path = tmp_path / writer
    WRITERS[writer](FORMS[form](state), path)
    weights = read_weights(path, activation="gelu")
    assert_same(weights.state, state)
    assert weights.config == SMALL
    assert weights.origin == str(path)
    assert weights.activation_source == "given by the caller"


def test_state_dict_is_read_and_left_alone() -> None:
    given = with_buffers(random_state())
    names = list(given)
    assert_same(read_weights(given).state, random_state())
    assert list(given) == names


# --- TorchScript, as OpenAI publishes it -------------------------------------------------


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
    with pytest.raises(BadWeights, match=r"is no CLIP: none of its 1 tensors .* the first is w"):
        read_weights(path)


# --- positions ---------------------------------------------------------------------------


def test_positions_are_resized_on_request_alone() -> None:
    state = random_state()
    larger = read_weights(state, image_size=80)
    assert (larger.config.image_size, larger.config.tokens) == (80, 26)
    given, resized = (
        state["visual.positional_embedding"],
        larger.state["visual.positional_embedding"],
    )
    assert torch.equal(resized[0], given[0])
    assert resized.shape == (26, 64)
    assert_same(
        without(larger.state, "visual.positional_embedding"),
        without(state, "visual.positional_embedding"),
    )
    assert read_weights(state, image_size=32).state["visual.positional_embedding"].equal(given)
    with pytest.raises(BadSetting, match="no multiple of patch"):
        read_weights(state, image_size=40)


def test_resizing_keeps_a_linear_ramp() -> None:
    ramp = torch.arange(8.0).repeat(8, 1).reshape(64, 1)
    resized = resize_positions(torch.cat([torch.zeros(1, 1), ramp]), 16)[1:].reshape(16, 16)
    inside = (torch.arange(16.0) + 0.5) / 2 - 0.5
    assert torch.allclose(resized[4:-4, 4:-4], inside[4:-4].expand(8, 8), atol=1e-5)


# --- refusals ----------------------------------------------------------------------------


FOREIGN = {
    "SigLIP": {"logit_bias": torch.zeros(1), "visual.trunk.pos_embed": torch.zeros(1)},
    "on an image encoder of timm": {"visual.patch_embed.proj.weight": torch.zeros(1)},
    "an image encoder of timm alone": {"patch_embed.proj.weight": torch.zeros(1)},
    "ResNet": {
        "visual.layer1.0.conv1.weight": torch.zeros(1),
        "visual.conv1.weight": torch.ones(1),
    },
    "from_official": {"clip.visual.conv1.weight": torch.zeros(1)},
    "one tower alone": {"embeddings.class_embedding": torch.zeros(1)},
    "lacks the text tower": {"vision_model.embeddings.class_embedding": torch.zeros(1)},
    "lacks the image tower": {"text_model.embeddings.token_embedding.weight": torch.zeros(1)},
    "is no CLIP": {"encoder_q.weight": torch.zeros(1)},
}


@pytest.mark.parametrize("reason", FOREIGN)
def test_other_models_are_named(reason: str) -> None:
    with pytest.raises(BadWeights, match=reason):
        read_weights(FOREIGN[reason])


def test_missing_tensors_are_counted_and_named() -> None:
    state = random_state()
    lost = [
        f"transformer.resblocks.1.{name}"
        for name in ("ln_1.bias", "ln_2.bias", "attn.in_proj_bias")
    ]
    with pytest.raises(BadWeights, match=r"lacks 3 tensors: transformer.resblocks.1.attn.in_proj"):
        read_weights(without(state, *lost))
    with pytest.raises(BadWeights, match=r"lacks 1 tensors: text_projection"):
        read_weights(without(state, "text_projection"))
    gone = [name for name in state if name.startswith("visual.transformer.resblocks.0.")]
    with pytest.raises(BadWeights, match="lacks block 0 of the image tower"):
        read_weights(without(state, *gone))


def test_damaged_tensors_are_refused() -> None:
    state = random_state()
    with pytest.raises(BadWeights, match=r"no plain CLIP has: 1 tensors: visual.ls_1"):
        read_weights({**state, "visual.ls_1": torch.ones(1)})
    with pytest.raises(BadWeights, match=r"ln_final.bias is \(3,\), where its model has \(128,\)"):
        read_weights({**state, "ln_final.bias": torch.ones(3)})
    with pytest.raises(BadWeights, match=r"ln_final.bias holds values that are not finite"):
        read_weights({**state, "ln_final.bias": torch.full((128,), math.nan)})
    with pytest.raises(BadWeights, match="no square grid"):
        read_weights({**state, "visual.positional_embedding": torch.ones(8, 64)})
    with pytest.raises(BadWeights, match="holds no tensors"):
        read_weights({"epoch": 3})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"Entry not found", "no file of weights"),
        (b"PK\x03\x04 and no more", "damaged or cut off"),
        (b"\x80\x02 and no more", "damaged|never loaded"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.pt"
    path.write_bytes(content)
    with pytest.raises(BadWeights, match=reason):
        read_weights(path)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_file_is_refused(tmp_path: Path, writer: str, share: float) -> None:
    path = tmp_path / writer
    WRITERS[writer](random_state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadWeights, match=r"cut off|damaged"):
        read_weights(path)


def test_missing_paths_say_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match="does not exist"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(BadWeights, match="does not exist"):
        read_weights("weights/none.pt")
    with pytest.raises(BadWeights, match="holds no weights; one of these is needed"):
        read_weights(tmp_path)
    with pytest.raises(BadSetting, match="possible: quick_gelu, gelu"):
        read_weights(random_state(), activation="relu")


# --- activation and config files ---------------------------------------------------------


def open_clip_folder(folder: Path, *, quick: bool, **vision: object) -> Path:
    save_file(random_state(), folder / "open_clip_model.safetensors")
    model = {
        "embed_dim": 24,
        "quick_gelu": quick,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, **vision},
        "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 128, "heads": 2, "layers": 3},
    }
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("quick", [True, False])
def test_open_clip_config_tells_activation_heads_and_pixels(tmp_path: Path, quick: bool) -> None:
    weights = read_weights(open_clip_folder(tmp_path, quick=quick, head_width=16))
    assert weights.config.activation == ("quick_gelu" if quick else "gelu")
    assert weights.activation_source == "open_clip_config.json"
    assert (weights.config.heads, weights.config.text_heads) == (4, 2)
    assert weights.config.mean == (0.5, 0.5, 0.5)
    assert weights.config.std == (0.25, 0.25, 0.25)
    assert weights.config.activation in weights.summary
    assert "open_clip_config.json" in weights.summary


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"layers": 3}, "has layers 2, but the config beside it says 3"),
        ({"width": 128}, "has width 64"),
        ({"pool_type": "avg"}, "pool_type is 'avg', which is not supported"),
        ({"act_kwargs": {"approximate": "tanh"}}, "act_kwargs"),
        ({"layers": "two"}, "layers is 'two', not a positive number"),
    ],
)
def test_config_that_does_not_fit_is_refused(
    tmp_path: Path, vision: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadWeights, match=reason):
        read_weights(open_clip_folder(tmp_path, quick=True, **vision))


@pytest.mark.parametrize(
    ("name", "activation", "source"),
    [
        ("ViT-B-32.pt", "quick_gelu", "OpenAI's file names"),
        ("b16_fullcc2.5b.pt", "quick_gelu", "MetaCLIP's file names"),
        ("vit_b_32-quickgelu-laion400m_e32-46683a32.pt", "quick_gelu", "open_clip's file names"),
        ("vit_b_16-laion400m_e32-55e67d44.pt", "gelu", "open_clip's file names"),
        ("mine.pt", "gelu", "assumed, the default of open_clip"),
    ],
)
def test_activation_is_never_guessed_silently(
    tmp_path: Path, name: str, activation: str, source: str
) -> None:
    torch.save(random_state(), tmp_path / name)
    weights = read_weights(tmp_path / name)
    assert weights.config.activation == activation
    assert weights.activation_source.startswith(source)
    assert source in weights.summary
    assert read_weights(tmp_path / name, activation="gelu").config.activation == "gelu"


# --- the model takes them ----------------------------------------------------------------


def test_clip_takes_what_is_read() -> None:
    weights: Weights = read_weights(random_state())
    clip = Clip(weights.config).load_openai(weights.state).eval()
    assert clip.encode_images(torch.randn(2, 3, 32, 32)).shape == (2, 24)
    assert clip.encode_texts(torch.tensor([[48, 3, 49, 0]])).shape == (1, 24)
