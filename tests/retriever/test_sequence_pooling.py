"""CLIP4Clip's seqTransf: against a reference of its own, on torch's own attention."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tempme
from clip_states import random_state
from counted import of_a_video
from tempme.backbones.config import ClipConfig
from tempme.backbones.frame_transformer import FrameTransformer
from tempme.errors import BadSetting, BadWeights
from tempme.pooling import MeanPooling, SequencePooling
from tempme.retriever.fitted import load_as
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.systems.table import SYSTEMS, system
from tempme.tuning import PLEVU, LoRA

SIZES = ClipConfig(
    image_size=32,
    patch=16,
    width=64,
    layers=2,
    heads=1,
    text_width=128,
    text_layers=4,
    text_heads=2,
    embed=128,
    context=20,
)


class Norm(nn.Module):
    """Over the last axis; the epsilon is within the root."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            self.weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
            + self.bias
        )


class Reference(nn.Module):
    """The head as the paper and the published code describe it, on torch's own attention."""

    def __init__(self, width: int, heads: int, layers: int, places: int) -> None:
        super().__init__()
        self.frame_position_embeddings = nn.Embedding(places, width)
        self.transformerClip = nn.Module()
        self.transformerClip.resblocks = nn.ModuleList()
        for _ in range(layers):
            block = nn.Module()
            block.ln_1, block.ln_2 = Norm(width), Norm(width)
            block.attn = nn.MultiheadAttention(width, heads, batch_first=True)
            block.mlp = nn.ModuleDict(
                {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
            )
            self.transformerClip.resblocks.append(block)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Features (V, F, D) and 1 or 0 for each -> unit features (V, D)."""
        x = frames + self.frame_position_embeddings(torch.arange(frames.shape[1]))
        for block in self.transformerClip.resblocks:
            y = block.ln_1(x)
            x = x + block.attn(y, y, y, key_padding_mask=mask == 0, need_weights=False)[0]
            hidden = block.mlp["c_fc"](block.ln_2(x))
            x = x + block.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))
        x = frames + x
        x = x / x.norm(dim=-1, keepdim=True)
        mean = (x * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return mean / mean.norm(dim=-1, keepdim=True)


@pytest.fixture
def reference() -> Reference:
    made = Reference(SIZES.embed, SIZES.text_heads, 4, SIZES.context)
    with torch.no_grad():
        for value in made.parameters():
            value.copy_(0.1 * torch.randn_like(value))
    return made.eval()


def checkpoint(reference: Reference, *, prefix: str = "") -> dict[str, Tensor]:
    state = {f"clip.{name}": 0.2 * value for name, value in random_state(SIZES).items()}
    return {f"{prefix}{name}": value for name, value in (state | reference.state_dict()).items()}


@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_a_checkpoint_gives_the_features_of_the_reference(
    reference: Reference, tmp_path: Path, prefix: str
) -> None:
    torch.save(checkpoint(reference, prefix=prefix), tmp_path / "pytorch_model.bin.2")
    retriever = tempme.load(tmp_path / "pytorch_model.bin.2")
    assert retriever.system.name == "clip4clip-seqtransf"
    plain = Retriever.build(
        system("clip4clip", backbone=retriever.system.config), random_state(SIZES)
    )
    plain.backbone.load_state_dict(
        {n: v for n, v in retriever.backbone.state_dict().items() if "temporal" not in n}
    )
    pixels = torch.randn(3, 12, 3, 32, 32)
    each = plain.backbone.encode_images(pixels.flatten(0, 1)).unflatten(0, (3, 12))
    whole, part = torch.ones(3, 12), torch.ones(3, 12)
    part[0, 10:] = part[2, 3] = 0
    for shown in (whole, part):
        ours = retriever.encode_videos(pixels, None if bool(shown.all()) else shown)
        assert (ours - reference(each, shown)).abs().max() < 2e-6
    assert (retriever.encode_videos(pixels) - plain.encode_videos(pixels)).abs().max() > 1e-2
    folded = retriever.for_inference("fp32")
    assert (folded.encode_videos(pixels) - retriever.encode_videos(pixels)).abs().max() < 2e-6


@pytest.mark.slow
@torch.no_grad()
def test_it_is_saved_loaded_and_named(reference: Reference, tmp_path: Path) -> None:
    torch.save(checkpoint(reference), tmp_path / "a.pt")
    one = load_as(tmp_path / "a.pt", frames=5)
    assert (one.system.name, one.system.frames) == ("clip4clip-seqtransf", 5)
    assert one.system.pooling == SequencePooling()
    again = tempme.load(one.save(tmp_path / "saved"))
    pixels = torch.randn(2, 5, 3, 32, 32)
    assert torch.equal(again.encode_videos(pixels), one.encode_videos(pixels))
    assert again.fingerprint == one.fingerprint
    with pytest.raises(
        BadWeights, match="seqTransf, which tome would lose: load it as clip4clip-s"
    ):
        tempme.load(tmp_path / "a.pt", system_name="tome")
    short = checkpoint(Reference(SIZES.embed, 2, 2, SIZES.context))
    with pytest.raises(BadWeights, match=r"does not fit 4 layers of 128: .*blocks\.2"):
        Retriever.build(one.system, short)


def test_it_begins_as_the_text_encoder() -> None:
    row = system("clip4clip-seqtransf", backbone=SIZES)
    retriever = Retriever.build(row, random_state(SIZES))
    head = retriever.backbone.vision.temporal
    assert isinstance(head, FrameTransformer)
    state = random_state(SIZES)
    assert torch.equal(head.position, state["positional_embedding"])
    for i in range(4):
        ours = head.blocks[i].attn.qkv.weight
        assert torch.equal(ours, state[f"transformer.resblocks.{i}.attn.in_proj_weight"])
    learns = {n for n, p in retriever.backbone.named_parameters() if p.requires_grad}
    assert {f"vision.temporal.{name}" for name, _ in head.named_parameters()} <= learns
    lora = replace(row, name="lora-seqtransf", tuning=LoRA())
    other = Retriever.build(lora, random_state(SIZES)).backbone.vision.temporal
    assert all(
        torch.equal(value, other.state_dict()[name]) for name, value in head.state_dict().items()
    )


@pytest.mark.parametrize("sizes", [replace(SIZES, embed=72), replace(SIZES, text_layers=2)])
def test_it_begins_at_random_where_the_text_encoder_is_no_example(sizes: ClipConfig) -> None:
    row = system("clip4clip-seqtransf", backbone=sizes, frames=3)
    one, other = (Retriever.build(row, random_state(sizes), seed=seed) for seed in (0, 1))
    pixels = torch.randn(2, 3, 3, 32, 32)
    assert one.encode_videos(pixels).shape == (2, sizes.embed)
    assert not torch.equal(one.encode_videos(pixels), other.encode_videos(pixels))
    again = Retriever.build(row, random_state(sizes), seed=0)
    assert torch.equal(one.encode_videos(pixels), again.encode_videos(pixels))


def test_it_costs_what_runs() -> None:
    row = system("clip4clip-seqtransf", backbone=SIZES, frames=12)
    mean = replace(row, pooling=MeanPooling())
    assert of_a_video(row) == round(row.cost().gmacs * 1e9)
    assert of_a_video(row) - of_a_video(mean) == 4 * (12 * 12 * 128**2 + 2 * 12 * 12 * 128)
    real = SYSTEMS["clip4clip-seqtransf"]
    assert real.trainable_parameters() == 123_540_993 + 77 * 512 + 4 * 3_152_384


def test_what_cannot_be_is_refused() -> None:
    row = SYSTEMS["clip4clip-seqtransf"]
    with pytest.raises(BadSetting, match="100 class tokens of a video, but seqTransf has 77"):
        replace(row, frames=100)
    with pytest.raises(BadSetting, match=r"pooling\.layers is 0"):
        SequencePooling(layers=0)
    plevu = PLEVU(prefix=1, postfix=1)
    both = System("both", plevu, row.compression, SequencePooling(), backbone=SIZES, max_words=2)
    with pytest.raises(BadSetting, match="PLEVU has blocks over frames of its own"):
        Retriever.build(both, None)
