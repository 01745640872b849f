"""transformers' CLIPModel and ours: the same weights, the same features."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel

from tempme.backbones.clip import Clip
from tempme.backbones.config import ClipConfig
from tempme.errors import BadWeights
from tempme.weights.read import read_weights
from tempme.weights.sizes import expected_shapes

SIZES = {
    "gelu": ClipConfig(
        image_size=64,
        patch=16,
        width=96,
        layers=3,
        heads=4,
        text_width=64,
        text_layers=2,
        text_heads=2,
        embed=40,
        context=16,
        vocab=99,
        activation="gelu",
    ),
    "quick_gelu": ClipConfig(
        image_size=56,
        patch=14,
        width=128,
        layers=2,
        heads=2,
        text_width=128,
        text_layers=3,
        text_heads=2,
        embed=64,
        context=24,
        vocab=150,
        activation="quick_gelu",
    ),
}


def random_model(config: ClipConfig) -> CLIPModel:
    """transformers' model of these sizes, with no parameter left at zero or one."""
    torch.manual_seed(0)
    layers = {"layers": config.layers, "text_layers": config.text_layers}
    model = CLIPModel(
        CLIPConfig(
            text_config={
                "vocab_size": config.vocab,
                "hidden_size": config.text_width,
                "intermediate_size": 4 * config.text_width,
                "num_hidden_layers": layers["text_layers"],
                "num_attention_heads": config.text_heads,
                "max_position_embeddings": config.context,
                "hidden_act": config.activation,
                "eos_token_id": config.vocab - 1,
                "bos_token_id": config.vocab - 2,
                "projection_dim": config.embed,
            },
            vision_config={
                "hidden_size": config.width,
                "intermediate_size": 4 * config.width,
                "num_hidden_layers": layers["layers"],
                "num_attention_heads": config.heads,
                "image_size": config.image_size,
                "patch_size": config.patch,
                "hidden_act": config.activation,
                "projection_dim": config.embed,
            },
            projection_dim=config.embed,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def random_texts(config: ClipConfig) -> torch.Tensor:
    """Ids of texts of several lengths: start, words, end, padding."""
    ids = torch.randint(1, config.vocab - 2, (4, config.context))
    ids[:, 0] = config.vocab - 2
    for row, end in enumerate((3, 7, config.context - 1, 1)):
        ids[row, end] = config.vocab - 1
        ids[row, end + 1 :] = 0
    return ids


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_features_are_those_of_transformers(tmp_path: Path, size: str) -> None:
    config = SIZES[size]
    theirs = random_model(config)
    theirs.save_pretrained(tmp_path)
    weights = read_weights(tmp_path)
    assert weights.config == config
    assert weights.layout == "transformers"
    assert weights.activation_source == "config.json"
    ours = Clip(weights.config).load_openai(weights.state).eval()
    pixels, ids = torch.randn(3, 3, config.image_size, config.image_size), random_texts(config)
    images = theirs.visual_projection(theirs.vision_model(pixels).pooler_output)
    texts = theirs.text_projection(theirs.text_model(ids).pooler_output)
    torch.testing.assert_close(ours.encode_images(pixels), images, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.encode_texts(ids), texts, atol=1e-5, rtol=1e-5)
    assert images.std() > 0.1
    assert texts.std() > 0.1


def test_every_tensor_lands_under_its_name(tmp_path: Path) -> None:
    config = SIZES["gelu"]
    model = random_model(config)
    model.save_pretrained(tmp_path)
    state = read_weights(tmp_path / "model.safetensors").state
    assert {name: tuple(value.shape) for name, value in state.items()} == expected_shapes(config)
    attention = model.vision_model.encoder.layers[1].self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    prefix = "visual.transformer.resblocks.1."
    assert torch.equal(
        state[f"{prefix}attn.in_proj_weight"], torch.cat([each.weight for each in projections])
    )
    assert torch.equal(
        state[f"{prefix}attn.in_proj_bias"], torch.cat([each.bias for each in projections])
    )
    assert torch.equal(state["visual.proj"], model.visual_projection.weight.T)
    assert torch.equal(state["text_projection"], model.text_projection.weight.T)
    assert torch.equal(state["visual.ln_pre.bias"], model.vision_model.pre_layrnorm.bias)
    assert state["logit_scale"] == model.logit_scale


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    random_model(SIZES["gelu"]).save_pretrained(folder, max_shard_size="500KB")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    random_model(SIZES["gelu"]).save_pretrained(folder)
    return folder


def copy(source: Path, target: Path) -> Path:
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_shards_and_pickles_hold_the_same(sharded: Path, whole: Path, tmp_path: Path) -> None:
    expected = read_weights(whole)
    assert len(list(sharded.glob("*.safetensors"))) > 2
    tensors = load_file(whole / "model.safetensors")
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    buffers = {"text_model.embeddings.position_ids": torch.arange(16)[None]}
    torch.save(tensors | buffers, tmp_path / "pytorch_model.bin")
    for folder in (sharded, tmp_path):
        given = read_weights(folder)
        assert given.config == expected.config
        assert given.state.keys() == expected.state.keys()
        assert all(torch.equal(given.state[name], expected.state[name]) for name in given.state)


def test_lost_shard_is_named(sharded: Path, tmp_path: Path) -> None:
    folder = copy(sharded, tmp_path)
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(BadWeights, match=f"lacks {lost.name}"):
        read_weights(folder)


def test_shard_elsewhere_is_refused(sharded: Path, tmp_path: Path) -> None:
    folder = copy(sharded, tmp_path)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["logit_scale"] = "../other.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(BadWeights, match="names a shard elsewhere"):
        read_weights(folder)


@pytest.mark.parametrize(
    ("part", "setting", "value", "reason"),
    [
        ("vision_config", "hidden_act", "gelu_new", "hidden_act is"),
        ("vision_config", "hidden_act", "quick_gelu", "hidden_act is gelu, quick_gelu"),
        ("vision_config", "layer_norm_eps", 1e-6, "layer_norm_eps is 1e-06"),
        ("vision_config", "num_hidden_layers", 4, "has layers 3, but the config .* says 4"),
        ("text_config", "eos_token_id", 7, "eos_token_id is 7"),
        ("text_config", "model_type", "bert", "model_type is 'bert'"),
        ("text_config", "vocab_size", 100, "eos_token_id|vocab"),
    ],
)
def test_config_that_ours_cannot_follow_is_refused(
    whole: Path, tmp_path: Path, part: str, setting: str, value: object, reason: str
) -> None:
    folder = copy(whole, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config[part][setting] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadWeights, match=reason):
        read_weights(folder)


def test_missing_query_key_or_value_is_named(whole: Path) -> None:
    tensors = load_file(whole / "model.safetensors")
    key = "text_model.encoder.layers.1.self_attn.k_proj.weight"
    value = tensors.pop(key)
    with pytest.raises(BadWeights, match=key):
        read_weights(tensors)
    del tensors[key.replace("k_proj", "q_proj")]
    with pytest.raises(BadWeights, match=r"resblocks.1.attn.in_proj_weight is missing"):
        read_weights(tensors | {key: value})


def test_without_a_config_the_assumption_is_said(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((whole / "model.safetensors").read_bytes())
    weights = read_weights(path)
    assert weights.config == replace(SIZES["gelu"], activation="quick_gelu", heads=1, text_heads=1)
    assert weights.activation_source.startswith("assumed, the default of transformers")


def test_pixel_scale_is_read(whole: Path, tmp_path: Path) -> None:
    folder = copy(whole, tmp_path)
    pixels = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    config = read_weights(folder).config
    assert (config.mean, config.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
