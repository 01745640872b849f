"""Every published layout of CLIP is read as one, and what is not a whole CLIP is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from clip_states import SMALL, assert_same, random_state
from tempme.backbones.clip import Clip
from tempme.errors import BadSetting, BadWeights
from tempme.weights.read import Weights, read_weights
from tempme.weights.sizes import resize_positions


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
    with pytest.raises(BadSetting, match="not a multiple of patch"):
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
    "from_official": {"clip.TVPt_Video_Positional_embedding": torch.zeros(1)},
    "one tower alone": {"embeddings.class_embedding": torch.zeros(1)},
    "lacks the text tower": {"vision_model.embeddings.class_embedding": torch.zeros(1)},
    "lacks the image tower": {"text_model.embeddings.token_embedding.weight": torch.zeros(1)},
    "is not a CLIP": {"encoder_q.weight": torch.zeros(1)},
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
    with pytest.raises(
        BadWeights, match=r"3 tensors .transformer.resblocks.1.attn.in_proj.* are missing"
    ):
        read_weights(without(state, *lost))
    with pytest.raises(BadWeights, match=r"text_projection is missing"):
        read_weights(without(state, "text_projection"))
    gone = [name for name in state if name.startswith("visual.transformer.resblocks.0.")]
    with pytest.raises(BadWeights, match="lacks block 0 of the image tower"):
        read_weights(without(state, *gone))


def test_damaged_tensors_are_refused() -> None:
    state = random_state()
    with pytest.raises(BadWeights, match=r"visual.ls_1 is unknown"):
        read_weights({**state, "visual.ls_1": torch.ones(1)})
    with pytest.raises(BadWeights, match=r"ln_final.bias is \(3,\), not \(128,\)"):
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
        (b"Entry not found", "not a file of weights"),
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


@pytest.mark.parametrize("writer", ["clip.pt", "wrapped.bin"])
def test_zeroed_stretch_is_noticed(tmp_path: Path, writer: str) -> None:
    path = tmp_path / writer
    WRITERS[writer](random_state(), path)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(4096) + content[middle + 4096 :])
    with pytest.raises(BadWeights, match="damaged"):
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
